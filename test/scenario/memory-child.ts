import { mirror } from '../../src/mirror.ts';

/** Runs one cycle and says how much memory the process took at most. */
const [, , source = '', target = ''] = process.argv;
const report = await mirror({ source, mirror: target });
const peakMegabytes = Math.round(process.resourceUsage().maxRSS / 1024);
process.stdout.write(`${JSON.stringify({ status: report.status, peakMegabytes })}\n`);
