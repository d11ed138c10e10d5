/** A receiver of SuperOffice's contract that lives until it is killed: template of the mirrors, trusted key in base64. */
import { createPublicKey } from 'node:crypto';
import { SoapService } from '../support/soap-service.ts';

const [template = '', key = ''] = process.argv.slice(2);
const trusted = [createPublicKey({ key: Buffer.from(key, 'base64'), format: 'der', type: 'spki' })];
const place = {
  kind: 'sqlite' as const,
  template,
  query: async () => [],
  [Symbol.asyncDispose]: async () => undefined,
};
const service = await SoapService.start(place, { trusted });
process.stdout.write(`${service.url}\n`);
