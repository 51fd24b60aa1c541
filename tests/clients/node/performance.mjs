// What the tools of the stand-ins are called, and what they do before they answer: what a test needs of
// them. One answers at once, one reports progress, one never ends by itself.
import { setTimeout as work } from 'node:timers/promises';
import { tell } from './serving.mjs';

const STEPS = 3;
// The clients of TypeScript drop what they are told of a call in one breath with its result.
const STEP_MS = 50;

/** The names of the tools since v2.8.0. */
export const AGENT_TOOLS = {
  quick: 'integrationSchema',
  steps: 'generateVideoTool',
  endless: 'ask_postiz',
};

/** The names of the tools up to v2.7.0. */
export const FIRST_TOOLS = {
  quick: 'POSTIZ_GET_CONFIG_ID',
  steps: 'POSTIZ_SCHEDULE_POST',
  endless: 'POSTIZ_PROVIDERS_LIST',
};

/** Does what the tool does before it answers. */
export async function perform(names, name, extra) {
  if (name === names.steps) await report(extra);
  if (name === names.endless) await aborted(name, extra.signal);
}

async function report({ _meta, sendNotification }) {
  const progressToken = _meta?.progressToken;
  if (progressToken === undefined) return;
  for (let progress = 1; progress <= STEPS; progress += 1) {
    const params = { progressToken, progress, total: STEPS };
    await sendNotification({ method: 'notifications/progress', params });
    await work(STEP_MS);
  }
}

function aborted(name, signal) {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => {
      tell('aborted', { tool: name });
      resolve();
    });
  });
}
