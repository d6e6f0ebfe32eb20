// A certified OpenID provider, as the tests of Portcullis need it: JWT and opaque access tokens for machines,
// introspection, revocation, DPoP and certificate-bound tokens. Nothing is kept when it ends, except the signing keys
// where OIDC_KEYS names a file.
//
// Environment: OIDC_HOME (the folder with node_modules), OIDC_PORT (0: a free one), OIDC_TLS_CHAIN and OIDC_TLS_KEY
// (PEM files; without them it speaks plain HTTP), OIDC_KEYS. Prints one line of JSON with the issuer when it listens.

import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { OIDC_HOME, OIDC_PORT = '0', OIDC_TLS_CHAIN, OIDC_TLS_KEY, OIDC_KEYS } = process.env;
const fromHome = createRequire(`${OIDC_HOME}/`);
const { Provider, errors } = await import(pathToFileURL(fromHome.resolve('oidc-provider')).href);

/** What a resource indicator stands for. Tokens for `urn:api:opaque*` are opaque, the others are JWTs. */
const resources = {
  'urn:api:rs256': { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } },
  'urn:api:ps256': { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'PS256' } } },
  'urn:api:es256': { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } },
  'urn:api:eddsa': { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'EdDSA' } } },
  'urn:api:short': { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } }, accessTokenTTL: 2 },
  'urn:api:elsewhere': { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } }, audience: 'https://elsewhere.example' },
  'urn:api:opaque': { accessTokenFormat: 'opaque' },
  'urn:api:opaque-without-subject': { accessTokenFormat: 'opaque' },
};

/** The groups that a client's tokens carry. */
const groups = { sre: ['sre', 'staff'], contractor: ['contractors'], nobody: [] };

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

/** RFC 8693, as far as the tests need it: one of our opaque tokens for one about the same client, for another resource. */
async function exchange(context) {
  const { provider, params } = context.oidc;
  const subject = await provider.ClientCredentials.find(params.subject_token);
  if (params.subject_token_type !== ACCESS_TOKEN || !subject?.isValid) throw new errors.InvalidRequest('no such token');
  const resource = resources[params.audience];
  if (!resource) throw new errors.InvalidTarget();
  const client = await provider.Client.find(subject.clientId);
  const token = new provider.ClientCredentials({ client, scope: subject.scope });
  const more = { scope: subject.scope, audience: params.audience, accessTokenTTL: 300, ...resource };
  token.resourceServer = new provider.ResourceServer(params.audience, more);
  context.oidc.entity('ClientCredentials', token);
  context.body = {
    access_token: await token.save(),
    issued_token_type: ACCESS_TOKEN,
    token_type: token.tokenType,
    expires_in: token.expiration,
    scope: token.scope,
  };
}

const secret = (id) => `${id}-secret-0123456789abcdef`;
const machine = (id, more = {}) => ({
  client_id: id,
  client_secret: secret(id),
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  token_endpoint_auth_method: 'client_secret_basic',
  scope: 'api:read api:write',
  ...more,
});

const configuration = {
  clients: [
    machine('sre'),
    machine('contractor'),
    machine('nobody'),
    machine('sre-bound', { tls_client_certificate_bound_access_tokens: true }),
    machine('sre-dpop', { dpop_bound_access_tokens: true }),
    machine('portcullis', { grant_types: ['client_credentials', EXCHANGE] }),
    machine('portcullis-signed', { introspection_signed_response_alg: 'ES256' }),
  ],
  scopes: ['api:read', 'api:write'],
  jwks: { keys: signingKeys() },
  clientBasedCORS: () => false,
  async extraTokenClaims(context, token) {
    const id = token.clientId.split('-')[0];
    const subject = token.aud === 'urn:api:opaque' ? { sub: token.clientId } : {};
    return { groups: groups[id] ?? [], ...subject };
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async (context, client) => client.clientId.startsWith('portcullis') },
    jwtIntrospection: { enabled: true },
    revocation: { enabled: true, allowedPolicy: async () => true },
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => false },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      getCertificate(context) {
        const peer = context.socket.getPeerCertificate?.();
        return peer?.raw ? new X509Certificate(peer.raw) : undefined;
      },
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: async () => undefined,
      useGrantedResource: async () => false,
      async getResourceServerInfo(context, indicator) {
        const known = resources[indicator];
        if (!known) throw new errors.InvalidTarget();
        return { scope: 'api:read api:write', audience: indicator, accessTokenTTL: 300, ...known };
      },
    },
  },
};

function signingKeys() {
  if (OIDC_KEYS && existsSync(OIDC_KEYS)) return JSON.parse(readFileSync(OIDC_KEYS, 'utf8'));
  const made = [
    [generateKeyPairSync('rsa', { modulusLength: 2048 }), { use: 'sig' }],
    [generateKeyPairSync('ec', { namedCurve: 'P-256' }), { use: 'sig', alg: 'ES256' }],
    [generateKeyPairSync('ed25519'), { use: 'sig', alg: 'EdDSA' }],
  ];
  const keys = made.map(([pair, more]) => {
    const jwk = pair.privateKey.export({ format: 'jwk' });
    const kid = createHash('sha256').update(JSON.stringify(jwk)).digest('base64url').slice(0, 12);
    return { ...jwk, kid, ...more };
  });
  if (OIDC_KEYS) writeFileSync(OIDC_KEYS, JSON.stringify(keys), { mode: 0o600 });
  return keys;
}

const tls = OIDC_TLS_CHAIN && {
  cert: readFileSync(OIDC_TLS_CHAIN),
  key: readFileSync(OIDC_TLS_KEY),
  requestCert: true,
  rejectUnauthorized: false,
};
const server = tls ? https.createServer(tls) : http.createServer();
server.listen(Number(OIDC_PORT), '127.0.0.1', () => {
  const issuer = `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  provider.registerGrantType(EXCHANGE, exchange, ['subject_token', 'subject_token_type', 'audience', 'scope']);
  provider.on('server_error', (context, error) => console.error('server_error', error));
  server.on('request', provider.callback());
  console.log(JSON.stringify({ listening: true, issuer, port: server.address().port }));
});
