import { BlockList, isIP } from 'node:net';
import { SpeilError } from '../core/error.ts';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** True for `localhost` and the addresses that only this machine reaches. Other names are not looked up. */
export function isLoopback(host: string): boolean {
  const address = host.replace(/^\[(.*)\]$/, '$1');
  const family = isIP(address);
  if (family === 0) return address.toLowerCase() === 'localhost';
  return LOOPBACK.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** Throws `INSECURE_LISTEN`: whoever can be reached from elsewhere needs TLS, unless told otherwise in so many words. */
export function refuseInsecureListen(listen: {
  readonly host: string;
  readonly tls: boolean;
  readonly insecure: boolean;
}): void {
  if (listen.tls || listen.insecure || isLoopback(listen.host)) return;
  throw new SpeilError('INSECURE_LISTEN', `${listen.host} can be reached from elsewhere, and there is no certificate`, {
    hint: 'Give --tls-cert and --tls-key, or listen on 127.0.0.1; --insecure when something else before it speaks TLS.',
  });
}
