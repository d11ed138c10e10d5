import { openRealServer } from '../support/real-server.ts';
import { clientsSuite } from './hrana-clients-suite.ts';

clientsSuite('a server', openRealServer);
