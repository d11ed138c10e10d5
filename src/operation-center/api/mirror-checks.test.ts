import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { createKeyPair } from '../../client/trust/keys.ts';
import { checkPublicKey } from './mirror-checks.ts';

const soap = { kind: 'soap', url: 'https://mirror.example/MirroringClientService.svc' } as const;
const dialled = { kind: 'dialled' } as const;

test('the key of a SOAP mirror may be the XML that .NET writes; it is kept as PEM', () => {
  const { publicPem } = createKeyPair('rsa');
  const { n = '', e = '' } = createPublicKey(publicPem).export({ format: 'jwk' });
  const base64 = (text: string) => Buffer.from(text, 'base64url').toString('base64');
  const parts = `<Modulus>${base64(n)}</Modulus><Exponent>${base64(e)}</Exponent>`;
  const xml = `<RSAKeyValue>${parts}</RSAKeyValue>`;
  assert.equal(checkPublicKey(xml, soap), publicPem);
  assert.equal(checkPublicKey(publicPem, soap), publicPem);
  for (const [text, transport] of [
    [xml, dialled],
    [publicPem, dialled],
    [createKeyPair('ed25519').publicPem, soap],
    [`<RSAKeyValue>${parts}<D>AQAB</D></RSAKeyValue>`, soap],
  ] as const) {
    assert.throws(() => checkPublicKey(text, transport), { code: 'USAGE' });
  }
});
