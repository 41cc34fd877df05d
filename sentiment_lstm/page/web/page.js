// The page: loads the model beside it, and answers what is pasted. Reviews are shown as text, never as HTML.
import { Classifier } from "./classifier.js";

const ROWS = 500; // of the table: what a browser draws at once

const [form, reviews, status, progress, error, answers] = [
  "form",
  "reviews",
  "status",
  "progress",
  "error",
  "answers",
].map((id) => document.getElementById(id));

// File -> how many bytes of it are here, and how many there are: NaN where the server does not say.
const received = new Map();

async function read(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name}: the server answers ${response.status} ${response.statusText}`);
  const { headers } = response;
  // The length of a packed file is that of what is sent.
  const size = headers.has("Content-Encoding") ? NaN : Number(headers.get("Content-Length") ?? NaN);
  const parts = [];
  let bytes = 0;
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    bytes += part.value.length;
    received.set(name, [bytes, size]);
    showLoading();
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function showLoading() {
  const [here, all] = [0, 1].map((place) => [...received.values()].reduce((sum, each) => sum + each[place], 0));
  const of = Number.isNaN(all) ? "" : ` of ${megabytes(all)}`;
  show(`Loading the model: ${megabytes(here)}${of} MB.`, here / all);
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}

/** Say what goes on, and how much of it is done, from 0 to 1; NaN is not known, and none is nothing. */
function show(text, share) {
  status.textContent = text;
  progress.hidden = share === undefined;
  if (share >= 0) progress.value = share;
  else progress.removeAttribute("value");
}

function fail(reason) {
  show("");
  error.textContent = `${reason?.message ?? reason}`;
}

async function answer() {
  error.textContent = "";
  answers.hidden = true;
  const texts = reviews.value.split("\n").filter((line) => line.trim());
  if (!texts.length) throw new Error("Paste a review first, or several, one a line.");
  const model = await loading;
  const number = texts.length.toLocaleString("en");
  show("Reading.", 0);
  const predictions = await model.predict(texts, (done) =>
    show(`Reading: ${done.toLocaleString("en")} of ${number}.`, done / texts.length),
  );
  answers.tBodies[0].replaceChildren(
    ...predictions.slice(0, ROWS).map(({ label, score }, index) => {
      const row = document.createElement("tr");
      for (const value of [index + 1, label, score.toFixed(3), texts[index]]) row.insertCell().textContent = value;
      return row;
    }),
  );
  answers.hidden = false;
  show(summary(predictions));
}

/** What was said, in a sentence or two, as the page of `sentiment-lstm demo` says it. */
function summary(predictions) {
  if (predictions.length === 1) return `${predictions[0].label}, score ${predictions[0].score.toFixed(3)}`;
  const counts = new Map();
  for (const { label } of predictions) counts.set(label, (counts.get(label) ?? 0) + 1);
  const said = [...counts]
    .sort((one, other) => other[1] - one[1])
    .map(([label, count]) => `${count.toLocaleString("en")} ${label}`);
  const more = predictions.length > ROWS ? ` The table shows the first ${ROWS}.` : "";
  return `${predictions.length.toLocaleString("en")} reviews: ${said.join(", ")}.${more}`;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (form.ariaBusy === "true") return;
  form.ariaBusy = "true";
  try {
    await answer();
  } catch (reason) {
    fail(reason);
  } finally {
    form.ariaBusy = "false";
  }
});
reviews.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

show("Loading the model.", NaN);
const loading = Classifier.load(read);
// Not what is said of reviews that were pasted meanwhile.
loading.then(() => form.ariaBusy === "true" || show("Ready."), fail);
