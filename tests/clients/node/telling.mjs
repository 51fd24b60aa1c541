// How a client tells the test what it saw, a line each on standard output, and hears from it.
import { createInterface } from 'node:readline';

const standardInput = createInterface({ input: process.stdin }).on('close', () => process.exit(0));
const lines = standardInput[Symbol.asyncIterator]();

export function saw(what, detail) {
  console.log(JSON.stringify({ saw: what, detail }));
}

/** Asks the test for its part, and waits until it is done. */
export async function ask(what) {
  saw(what);
  await lines.next();
}

/** What went wrong, as its user would read it; undefined if nothing did. */
export async function failure(attempt) {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    return [error.message, error.cause?.message].filter(Boolean).join('; ');
  }
}

/** Tells the story, and ends the program. */
export async function end(story) {
  const failed = await failure(story);
  if (failed) saw('failed', failed);
  process.exit(failed ? 1 : 0);
}
