import { testKills } from './server-kills.ts';

testKills(6);
