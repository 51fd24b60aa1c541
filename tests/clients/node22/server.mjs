// A server in the manner of Postiz v2.23.0 and later, on the very packages of its lock file:
// @mastra/mcp 1.4.1, on Node 22. What it does beyond Mastra stands in `../node`, with the plain
// stand-ins.
//
// KEY: the key it knows.
import { createTool } from '@mastra/core/tools';
import { MCPServer } from '@mastra/mcp';
import express from 'express';
import { z } from 'zod';
import { admits } from '../node/keys.mjs';
import { AGENT_TOOLS, perform } from '../node/performance.mjs';
import { acceptEverything, crossOrigin, serve } from '../node/serving.mjs';

const platform = z.object({ platform: z.string().optional() });

function tool(id) {
  return createTool({
    id,
    description: 'A tool in the manner of Postiz',
    inputSchema: platform,
    execute: async (given, { mcp }) => {
      await perform(AGENT_TOOLS, id, mcp.extra);
      return `${id} of ${given.platform}`;
    },
  });
}

const tools = Object.fromEntries(Object.values(AGENT_TOOLS).map((name) => [name, tool(name)]));
const server = new MCPServer({ id: 'postiz', name: 'Postiz', version: '2.0.0', tools });

const app = express();
app.use('/mcp', async (req, res) => {
  req.url = req.originalUrl;
  if (crossOrigin(req, res) || !admits(req, res)) return;
  acceptEverything(req);
  const url = new URL(req.url, 'http://localhost');
  await server.startHTTP({ url, httpPath: url.pathname, req, res, options: { serverless: true } });
});
serve(app);
