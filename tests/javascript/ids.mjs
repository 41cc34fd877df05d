// The ids that JavaScript's tokenizer gives: {"folder", "texts"} on standard input, [[id, ...], ...] on standard output.
import fs from "node:fs";
import path from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";

const { folder, texts } = JSON.parse(fs.readFileSync(0, "utf8"));
const read = (name) => JSON.parse(fs.readFileSync(path.join(folder, name), "utf8"));
const tokenizer = new Tokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
const ids = texts.map((text) => tokenizer.encode(text).ids);
process.stdout.write(JSON.stringify(ids));
