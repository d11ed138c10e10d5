import { testKills } from '../crash/server-kills.ts';

testKills(300);
