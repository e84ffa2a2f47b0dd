// A compiler that stays loaded: for each line, the changed files and the settings to compile the registry with, it answers
// one line, {code} or {error}. Loading takes as long as compiling does without an optimiser.
"use strict";

const fs = require("fs");
const readline = require("readline");
const solc = require(process.argv[2]);

const MAIN = "contracts/MemoryRegistry.sol";
const SETTINGS = {
  evmVersion: "cancun",
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  remappings: ["@openzeppelin/=node_modules/@openzeppelin/"],
  outputSelection: { [MAIN]: { MemoryRegistry: ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

function compile({ changed, settings }) {
  const sources = {};
  const read = (name) => ({ contents: changed[name] ?? fs.readFileSync(name, "utf8") });
  const input = {
    language: "Solidity",
    sources: { [MAIN]: { content: read(MAIN).contents } },
    settings: { ...SETTINGS, ...settings },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
  const error = (output.errors ?? []).find((each) => each.severity === "error");
  if (error) return { error: error.formattedMessage };
  const { abi, evm } = output.contracts[MAIN].MemoryRegistry;
  return { abi, code: evm.bytecode.object, runtime: evm.deployedBytecode.object };
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  process.stdout.write(`${JSON.stringify(compile(JSON.parse(line)))}\n`);
});
