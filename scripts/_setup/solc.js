// The compiler as an executable: what `solc --standard-json` is to a native build, for the WebAssembly build from npm.
// Bytecode metadata is off unless the input says otherwise: Ape's Solidity plugin has no setting for it, and the same
// source shall give the same code, and so the same address, whatever its file is called.
"use strict";

const fs = require("fs");
const path = require("path");
const solc = require("solc");

const NO_METADATA = { appendCBOR: false, bytecodeHash: "none" };

function main(args) {
  if (args.includes("--version")) return `solc, the solidity compiler\nVersion: ${solc.version()}\n`;
  if (!args.includes("--standard-json")) throw new Error("only --version and --standard-json are supported");
  const option = args.indexOf("--base-path");
  const base = option < 0 ? process.cwd() : path.resolve(args[option + 1]);
  // Ape compiles a copy of contracts/ in a temporary folder, which lacks node_modules.
  const folders = [base, path.join(__dirname, "..", "..")];
  const input = JSON.parse(fs.readFileSync(0, "utf8"));
  input.settings = { metadata: NO_METADATA, ...input.settings };
  const read = (name) => {
    const found = folders.map((folder) => path.join(folder, name)).find((file) => fs.existsSync(file));
    return found ? { contents: fs.readFileSync(found, "utf8") } : { error: `${name} is not in the project` };
  };
  return solc.compile(JSON.stringify(input), { import: read });
}

try {
  // The process must end by itself: process.exit() would cut off what a pipe has not taken yet.
  process.stdout.write(main(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`Error: ${error.message}\n`);
  process.exitCode = 1;
}
