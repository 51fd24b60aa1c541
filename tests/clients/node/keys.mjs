// How Postiz takes a key since v2.19.0: in the path, or as a Bearer.
import { refuse } from './serving.mjs';

const { KEY } = process.env;

/**
 * Whether the request may go on; if not, it has been answered. `/mcp/KEY` is a prefix, and a wrong key
 * is 400; on `/mcp` it is 401 without WWW-Authenticate, and the scheme is only taken off when it is
 * spelled exactly `Bearer `. All in plain text.
 */
export function admits(request, response) {
  const [, mcp, key] = request.url.split('?')[0].split('/');
  const presented = key ?? request.headers.authorization?.replace('Bearer ', '');
  if (mcp?.toLowerCase() !== 'mcp') {
    refuse(response, 404, 'text/html', 'Cannot find it');
  } else if (presented === KEY) {
    return true;
  } else if (key !== undefined) {
    refuse(response, 400, 'text/plain', 'Invalid API Key');
  } else {
    refuse(response, 401, 'text/plain', presented ? 'Invalid API Key' : 'Missing Authorization header');
  }
  return false;
}
