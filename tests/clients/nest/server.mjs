// A server in the manner of Postiz v2.7.0, on the very packages of its lock file: Nest 10.4.20 on Express
// 4, whose event streams these are, and version 1.18.0 of the SDK. What it does beyond them stands in
// `../node`, with the plain stand-ins. Decorators are called as what they are: functions.
//
// KEY: the key it knows. PUBLIC_URL: what NEXT_PUBLIC_BACKEND_URL is for Postiz.
import 'reflect-metadata';
import { EventEmitter } from 'node:events';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import {
  CallToolRequestSchema,
  JSONRPCMessageSchema,
  ListToolsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { Body, Controller, HttpException, Module, Param, Post, Sse } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Observable } from 'rxjs';
import { FIRST_TOOLS } from '../node/performance.mjs';
import { serve } from '../node/serving.mjs';
import { newServer } from '../node/tools.mjs';

const { KEY, PUBLIC_URL } = process.env;
const bus = new EventEmitter().setMaxListeners(0);

// One MCP server for the organization. What it says goes to the bus, never to the POST that asked.
const transport = {
  start: async () => {},
  close: async () => {},
  send: async (message) => bus.emit('reply', message),
};
await newServer(FIRST_TOOLS, { Server, ListToolsRequestSchema, CallToolRequestSchema }).connect(
  transport,
);

function admit(key) {
  if (key !== KEY) throw new HttpException('Invalid url', 400);
}

class Streams {
  open(key) {
    admit(key);
    return new Observable((stream) => {
      bus.on('reply', (message) => stream.next({ type: 'message', data: message }));
      stream.next({ type: 'endpoint', data: `${PUBLIC_URL}/mcp/${KEY}/messages` });
      return () => bus.removeAllListeners('reply');
    });
  }

  take(key, message) {
    admit(key);
    for (const one of [message].flat()) transport.onmessage(JSONRPCMessageSchema.parse(one));
    return {};
  }
}

const method = (name) => [Streams.prototype, name, Object.getOwnPropertyDescriptor(Streams.prototype, name)];
Sse(':api/sse')(...method('open'));
Param('api')(Streams.prototype, 'open', 0);
Post(':api/messages')(...method('take'));
Param('api')(Streams.prototype, 'take', 0);
Body()(Streams.prototype, 'take', 1);
Controller('mcp')(Streams);

class Application {}
Module({ controllers: [Streams] })(Application);

const application = await NestFactory.create(Application, { logger: false });
await application.init();
serve(application.getHttpAdapter().getInstance());
