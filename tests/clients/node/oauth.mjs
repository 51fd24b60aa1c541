// The official client of TypeScript, which starts with a URL alone and logs in by what it is told.
//
// PLACE: where it connects. CODE: what the page of consent gives; where that page is, the test is told.
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const { PLACE, CODE } = process.env;
const kept = {};

function saw(what, detail) {
  console.log(JSON.stringify({ saw: what, detail }));
}

const authProvider = {
  redirectUrl: 'http://127.0.0.1:1/callback',
  clientMetadata: { client_name: 'portcullis-test', redirect_uris: ['http://127.0.0.1:1/callback'] },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  redirectToAuthorization: (page) => saw('consent', page.pathname),
};

async function connected() {
  const transport = new StreamableHTTPClientTransport(new URL(PLACE), { authProvider });
  const client = new Client({ name: 'portcullis-test', version: '1.0.0' });
  try {
    await client.connect(transport);
  } catch (error) {
    if (!(error instanceof UnauthorizedError) || kept.tokens) throw error;
    await transport.finishAuth(CODE);
    return connected();
  }
  return client;
}

try {
  const client = await connected();
  saw('connected', client.getServerVersion().name);
  saw('listed', (await client.listTools()).tools.length);
  await client.close();
} catch (error) {
  saw('failed', error.message);
  process.exit(1);
}
process.exit(0);
