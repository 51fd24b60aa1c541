// Reads HTTP/1.1 as Node's own server does and tells what it read.
//
// Standard input: cases, each the parts in which one connection is written: their number, and each
// its length and that many raw bytes. All numbers are of 32 bits, big-endian.
// Standard output: one line of JSON a case, `{"requests": [...], "error": string or null}`, where a
// request is its method, url, version, fields as they came, body, and whether the body was whole.
'use strict';

const http = require('node:http');
const { Duplex } = require('node:stream');

const PATIENCE_MS = 2000;

function hex(latin1) {
  return Buffer.from(latin1, 'latin1').toString('hex');
}

function describe(request) {
  const fields = [];
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    fields.push([request.rawHeaders[at], hex(request.rawHeaders[at + 1])]);
  }
  return {
    method: request.method,
    url: hex(request.url),
    version: request.httpVersion,
    fields,
    body: '',
    complete: false,
  };
}

function answer(parts) {
  return new Promise((resolve) => {
    const told = { requests: [], error: null };
    const server = http.createServer({ insecureHTTPParser: false });
    const patience = setTimeout(() => end('no end'), PATIENCE_MS);

    function end(error) {
      clearTimeout(patience);
      told.error = told.error || error || null;
      connection.destroy();
      resolve(told);
    }

    function take(request, response) {
      const read = describe(request);
      told.requests.push(read);
      const parts = [];
      request.on('data', (part) => parts.push(part));
      request.on('error', (error) => { told.error = told.error || error.code; });
      request.on('close', () => {
        read.body = Buffer.concat(parts).toString('hex');
        read.complete = request.complete;
      });
      request.on('end', () => response.end());
    }

    server.on('request', take);
    server.on('checkContinue', (request, response) => {
      response.writeContinue();
      take(request, response);
    });
    server.on('checkExpectation', (request, response) => {
      told.error = told.error || 'EXPECTATION';
      response.writeHead(417, { connection: 'close' });
      response.end();
    });
    server.on('clientError', (error, socket) => {
      told.error = told.error || error.code || 'error';
      socket.destroy();
    });

    const connection = new Duplex({
      allowHalfOpen: true,
      read() {},
      write(part, encoding, done) { done(); },
    });
    connection.on('error', () => {});
    connection.on('close', () => setImmediate(end));
    server.emit('connection', connection);
    for (const part of parts) connection.push(part);
    connection.push(null);
  });
}

async function main() {
  const input = [];
  for await (const part of process.stdin) input.push(part);
  const all = Buffer.concat(input);
  let at = 0;
  const number = () => {
    at += 4;
    return all.readUInt32BE(at - 4);
  };
  while (at < all.length) {
    const parts = [];
    for (let left = number(); left > 0; left -= 1) {
      const length = number();
      parts.push(all.subarray(at, at + length));
      at += length;
    }
    process.stdout.write(JSON.stringify(await answer(parts)) + '\n');
  }
}

main();
