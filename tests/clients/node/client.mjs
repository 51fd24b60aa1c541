// An official client, driven through one story; each line on standard output is what it saw.
//
//   node client.mjs v1-sse|v1-streamable|v2-sse|v2-streamable|mcp-remote
//
// PLACES: where to connect, and with what; `{url, bearer?}` by name. TOOLS: what the tools are called
// that answer at once, report progress, and never end. CALLS: give up on being refused after so many.
// Where the test has a part in the story, the client asks for it and waits for a line on its standard
// input.
import { connect } from './connecting.mjs';
import { ask, end, failure, saw } from './telling.mjs';

const [kind] = process.argv.slice(2);
const { CALLS } = process.env;
const places = JSON.parse(process.env.PLACES);
const tools = JSON.parse(process.env.TOOLS);
const PATIENCE_MS = 5_000;
const RECOVERY_MS = 10_000;

async function call(client, name = tools.quick, options = {}) {
  const parameters = { name, arguments: { platform: 'x' } };
  const result = await client.callTool(parameters, { timeout: PATIENCE_MS, ...options });
  return result.content[0].text;
}

async function progress(client) {
  const steps = [];
  const onprogress = ({ progress: step }) => steps.push(step);
  await call(client, tools.steps, { onprogress });
  return steps;
}

/** Cancels a call once the server has it. */
async function cancel(client) {
  const controller = new AbortController();
  const cancelled = failure(() => call(client, tools.endless, { signal: controller.signal }));
  await ask('calling');
  controller.abort('the user has changed their mind');
  return cancelled;
}

/** Calls without a pause until one fails: the error, or undefined if none of `limit` failed. */
async function firstRefusal(client, limit) {
  for (let calls = 0; calls < limit; calls += 1) {
    const refusal = await failure(() => call(client));
    if (refusal) return refusal;
  }
  return undefined;
}

/** Calls again on the same client until one passes. */
async function recovered(client) {
  const end = Date.now() + RECOVERY_MS;
  for (;;) {
    try {
      return await call(client);
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function story() {
  let client = await connect(kind, places.right);
  saw('connected', client.getServerVersion().name);
  saw('listed', (await client.listTools()).tools.map(({ name }) => name));
  saw('called', await call(client));
  saw('progress', await progress(client));
  saw('cancelled', await cancel(client));
  saw('refused', await failure(() => connect(kind, places.unknown)));
  saw('expired', await failure(() => connect(kind, places.expired)));

  await ask('restart');
  saw('restarted', await failure(() => call(client, tools.quick, { timeout: PATIENCE_MS / 2 })));
  await failure(() => client.close());
  client = await connect(kind, places.right);
  saw('reconnected', await call(client));

  // Its answer will never come; the test wants to see that the server learns of the leaving.
  failure(() => call(client, tools.endless, { timeout: 2 * RECOVERY_MS }));
  await ask('pending');
  saw('limited', await firstRefusal(client, Number(CALLS)));
  saw('alive', await recovered(client));
  await client.close();
  saw('closed');
}

await end(story);
