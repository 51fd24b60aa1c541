// An official client whose key has rules; each line on standard output is what it saw.
//
//   node rules.mjs v1-sse|v1-streamable|v2-sse|v2-streamable|mcp-remote
//
// PLACES: where to connect, and with what, by name; `{url, bearer?}`. At `ruled` the tool that reports
// progress may not be used, at `other` is another's key. TOOLS: what the tools are called.
import { connect } from './connecting.mjs';
import { end, failure, saw } from './telling.mjs';

const [kind] = process.argv.slice(2);
const places = JSON.parse(process.env.PLACES);
const tools = JSON.parse(process.env.TOOLS);

async function call(client, name) {
  const parameters = { name, arguments: { platform: 'x' } };
  return (await client.callTool(parameters, { timeout: 5_000 })).content[0].text;
}

/** Another's client says that the session of the first is its own. */
async function usurp(session) {
  const client = await connect(kind, places.other, session);
  return call(client, tools.steps);
}

async function story() {
  const client = await connect(kind, places.ruled);
  saw('listed', (await client.listTools()).tools.map(({ name }) => name));
  saw('unknown', await failure(() => call(client, tools.steps)));
  saw('alive', await call(client, tools.quick));
  const session = client.transport.sessionId;
  if (session) {
    saw('session', await failure(() => usurp(session)));
    saw('anew', await call(await connect(kind, places.other), tools.quick));
    saw('kept', await call(client, tools.quick));
  }
  await client.close();
  saw('closed');
}

await end(story);
