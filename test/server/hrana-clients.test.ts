import { openHranaService } from '../support/hrana-service.ts';
import { clientsSuite } from './hrana-clients-suite.ts';

clientsSuite('SQLite in process', async () => {
  const service = await openHranaService();
  return {
    url: (scheme: string) => service.url(scheme),
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
});
