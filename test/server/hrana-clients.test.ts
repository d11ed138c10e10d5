import { clientsSuite } from '../support/hrana/clients-suite.ts';
import { openRealServer } from '../support/real-server.ts';

clientsSuite('a server', openRealServer);
