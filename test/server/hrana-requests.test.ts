import { openRealServer } from '../support/real-server.ts';
import { hranaSuite } from './hrana-suite.ts';

hranaSuite('a server', openRealServer);
