import { openHranaService } from '../support/hrana-service.ts';
import { hranaSuite } from './hrana-suite.ts';

hranaSuite('SQLite in process', async () => {
  const service = await openHranaService();
  return {
    url: (scheme: string) => service.url(scheme),
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
});
