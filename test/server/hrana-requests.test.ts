import { hranaSuite } from '../support/hrana/requests-suite.ts';
import { openRealServer } from '../support/real-server.ts';

hranaSuite('a server', openRealServer);
