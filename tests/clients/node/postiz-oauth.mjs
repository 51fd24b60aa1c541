// The OAuth of Postiz v2.23.0 and later, before a server in its manner: see postiz-main.mjs.
//
// Kept: the two endpoints at their exact paths; their metadata and no other; registrations without a
// question; tokens that last; and that every address is announced at the root of the public origin.
// Postiz has that origin from its settings; here it is the one that the gateway was asked under, since
// its port isn't known before it runs.
//
// CODE: what the page of consent would give. TOKEN: what it is good for.
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { AGENT_TOOLS } from './performance.mjs';
import { acceptEverything, body, json, refuse, serve } from './serving.mjs';
import { newServer } from './tools.mjs';

const { CODE, TOKEN } = process.env;
const CLIENT = 'pca_0123456789abcdef0123456789abcdef';

async function form(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return new URLSearchParams(Buffer.concat(chunks).toString());
}

async function mcp(request, response, origin) {
  if (request.headers.authorization !== `Bearer ${TOKEN}`) {
    const metadata = `${origin}/.well-known/oauth-protected-resource/mcp-oauth`;
    response.setHeader('www-authenticate', `Bearer resource_metadata="${metadata}"`);
    return json(response, 401, { error: 'invalid_token' });
  }
  acceptEverything(request);
  const message = await body(request);
  const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
  await newServer(AGENT_TOOLS).connect(transport);
  return transport.handleRequest(request, response, message);
}

async function token(request, response) {
  const asked = await form(request);
  const good = asked.get('code') === CODE && asked.get('client_id') === CLIENT;
  return good
    ? json(response, 200, { access_token: TOKEN, token_type: 'bearer' })
    : json(response, 400, { error: 'invalid_grant' });
}

async function handle(request, response) {
  const origin = `${request.headers['x-forwarded-proto']}://${request.headers['x-forwarded-host']}`;
  const place = `${request.method} ${request.url.split('?')[0]}`;
  switch (place) {
    case 'POST /mcp-oauth':
    case 'GET /mcp-oauth':
      return mcp(request, response, origin);
    case 'GET /.well-known/oauth-protected-resource/mcp-oauth':
      return json(response, 200, {
        resource: `${origin}/mcp-oauth`,
        authorization_servers: [`${origin}/mcp-oauth`],
        scopes_supported: ['mcp:read', 'mcp:write'],
      });
    case 'GET /.well-known/oauth-authorization-server/mcp-oauth':
      return json(response, 200, {
        issuer: `${origin}/mcp-oauth`,
        authorization_endpoint: `${origin}/oauth/authorize`,
        token_endpoint: `${origin}/oauth/token`,
        registration_endpoint: `${origin}/oauth/register`,
        response_types_supported: ['code'],
        grant_types_supported: ['authorization_code'],
        code_challenge_methods_supported: ['S256'],
        token_endpoint_auth_methods_supported: ['none'],
      });
    case 'POST /oauth/register':
      return json(response, 201, { ...(await body(request)), client_id: CLIENT });
    case 'POST /oauth/token':
      return token(request, response);
    default:
      return refuse(response, 404, 'text/html', 'Cannot find it');
  }
}

serve(handle);
