// Node's own servers. What they take for a request is noted: H for its head, F for all of it.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const http2 = require('node:http2');

const note = (what) => fs.appendFileSync('@own@/notes', what);

function take(request, response) {
  note('H');
  request.on('error', () => {});
  request.on('end', () => {
    note('F');
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 2 });
    response.end('{}');
  });
  request.resume();
}

const tls = { cert: fs.readFileSync('@certificate@'), key: fs.readFileSync('@key@') };
http.createServer(take).listen(@clear@, '127.0.0.1');
http2.createSecureServer(tls, take).listen(@tls@, '127.0.0.1');
