// A client of DPoP (RFC 9449) as an application would be one, with Node's own cryptography.
//
//   dpop.mjs token ISSUER CLIENT SECRET RESOURCE    asks for a bound token: prints {"token", "key"}
//   dpop.mjs proof KEY TOKEN METHOD URL [NONCE]     prints a proof for one request
//
// NODE_EXTRA_CA_CERTS names who signed the provider's certificate.

import { createHash, createPrivateKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto';

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function proof(key, method, url, more) {
  const { kty, crv, x, y } = key;
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } };
  const claims = { jti: randomUUID(), htm: method, htu: url, iat: Math.floor(Date.now() / 1000), ...more };
  const signed = `${encode(header)}.${encode(claims)}`;
  const privateKey = createPrivateKey({ key, format: 'jwk' });
  const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

async function token(issuer, client, secret, resource) {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  const url = `${issuer}/token`;
  const answer = await fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${client}:${secret}`).toString('base64')}`,
      dpop: proof(key, 'POST', url, {}),
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'api:read', resource }),
  });
  const told = await answer.json();
  if (told.token_type !== 'DPoP') throw new Error(`${answer.status} ${JSON.stringify(told)}`);
  return JSON.stringify({ token: told.access_token, key });
}

const [what, ...rest] = process.argv.slice(2);
if (what === 'token') {
  console.log(await token(...rest));
} else {
  const [key, bound, method, url, nonce] = rest;
  const ath = createHash('sha256').update(bound).digest('base64url');
  console.log(proof(JSON.parse(key), method, url, { ath, ...(nonce && { nonce }) }));
}
