// A model folder in JavaScript: texts in, labels and scores out, as SentimentPredictor of Python has them.
import * as ort from "./libraries/onnxruntime-web.js";
import { Tokenizer } from "./libraries/tokenizers.js";

// As in sentiment_lstm/inference/predictor.py: tokens in a batch, padding included.
const BATCH_TOKENS = 4096;
// Texts that are sorted by length together. Fewer than there: the page shows what it does in between.
const CHUNK_SIZE = 512;

// Threads need memory that they share, which browsers give to isolated pages only.
ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? 0 : 1; // 0: as many as there are cores

export class Classifier {
  #config;
  #tokenizer;
  #session;

  /**
   * The model of the folder in which this file is.
   * @param {(name: string) => Promise<Uint8Array>} read Reads a file of the folder.
   * @returns {Promise<Classifier>}
   */
  static async load(read) {
    const names = ["config.json", "tokenizer.json", "tokenizer_config.json"];
    const [model, runtime, ...texts] = await Promise.all(
      ["model.onnx", "libraries/ort-wasm-simd-threaded.wasm", ...names].map(read),
    );
    const [config, rules, options] = texts.map((bytes) => JSON.parse(new TextDecoder().decode(bytes)));
    // Else a review that says "_PAD" would have padding in the middle of it; Python reads it as a word.
    if (options.split_special_tokens) rules.added_tokens = [];
    ort.env.wasm.wasmBinary = runtime;
    const classifier = new Classifier();
    classifier.#config = config;
    classifier.#tokenizer = new Tokenizer(rules, options);
    classifier.#session = await ort.InferenceSession.create(model);
    return classifier;
  }

  /** The names of the labels, by their number. */
  get labels() {
    return Object.values(this.#config.id2label); // keys that are numbers come in their order
  }

  /**
   * Classify texts, as `SentimentPredictor.predict` does.
   * @param {string[]} texts
   * @param {(done: number) => void} [progressed] Is told how many texts are done.
   * @returns {Promise<{label: string, score: number}[]>} The most probable label of each text, in order,
   *     and its probability; of several labels at once those above one half, or "none".
   */
  async predict(texts, progressed) {
    const { labels } = this;
    return (await this.probabilities(texts, progressed)).map((row) => {
      const best = row.indexOf(Math.max(...row));
      const several = this.#config.problem_type === "multi_label_classification";
      const above = labels.filter((_, index) => row[index] > 0.5).join(", ") || "none";
      return { label: several ? above : labels[best], score: row[best] };
    });
  }

  /**
   * The probabilities of each text, by the number of the label; of a regression, the number itself.
   * @param {string[]} texts
   * @param {(done: number) => void} [progressed] See `predict`.
   * @returns {Promise<number[][]>}
   */
  async probabilities(texts, progressed = () => {}) {
    const results = [];
    for (let start = 0; start < texts.length; start += CHUNK_SIZE) {
      const ids = texts.slice(start, start + CHUNK_SIZE).map((text) => this.#tokenizer.encode(text).ids);
      let done = start;
      for (const batch of batches(ids.map((words) => this.#config.pad_to_length ?? words.length))) {
        const rows = await this.#run(batch.map((index) => ids[index]));
        batch.forEach((index, row) => (results[start + index] = rows[row]));
        progressed((done += batch.length));
        await new Promise((resume) => setTimeout(resume)); // for the page to be drawn
      }
    }
    const bad = results.findIndex((row) => !row.every(Number.isFinite));
    if (bad >= 0) throw new Error(`Review ${bad + 1}: the model's answer is no number. Leave it out.`);
    return results;
  }

  /** The probabilities of one batch; an answer depends on nothing else in it, since the padding is masked. */
  async #run(batch) {
    const shape = [batch.length, Math.max(1, ...batch.map((words) => words.length))];
    const ids = new BigInt64Array(shape[0] * shape[1]).fill(BigInt(this.#config.pad_token_id ?? 0));
    const mask = new BigInt64Array(ids.length);
    batch.forEach((words, row) => {
      ids.set(words.map(BigInt), row * shape[1]);
      mask.fill(1n, row * shape[1], row * shape[1] + words.length);
    });
    const { logits } = await this.#session.run({
      input_ids: new ort.Tensor("int64", ids, shape),
      attention_mask: new ort.Tensor("int64", mask, shape),
    });
    const [rows, labels] = logits.dims;
    return Array.from({ length: rows }, (_, row) =>
      activate(Array.from(logits.data.subarray(row * labels, (row + 1) * labels)), this.#config),
    );
  }
}

/** Numbers of texts, longest first, in batches of similar length. */
function* batches(lengths) {
  const order = lengths.map((_, index) => index).sort((one, other) => lengths[other] - lengths[one]);
  for (let start = 0, end; start < order.length; start = end) {
    end = start + Math.max(1, Math.floor(BATCH_TOKENS / Math.max(1, lengths[order[start]])));
    yield order.slice(start, end);
  }
}

/** What the pipeline of transformers makes of the logits of a text. */
function activate(logits, config) {
  if (config.problem_type === "regression") return logits;
  if (config.problem_type === "multi_label_classification" || logits.length === 1) {
    return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
  }
  const highest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((one, other) => one + other);
  return powers.map((power) => power / sum);
}
