// What a folder's page answers, in Node: a list of texts as JSON on standard input, their probabilities on
// standard output. For the check that `--browser` makes, and for tests; it stays with the package.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const folder = process.argv[2];
const { Classifier } = await import(pathToFileURL(path.resolve(folder, "classifier.js")));
const model = await Classifier.load((name) => fs.promises.readFile(path.join(folder, name)));
const texts = JSON.parse(fs.readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(await model.probabilities(texts)));
