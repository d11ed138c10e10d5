import { isIPv6, type Socket } from 'node:net';

/** Connections that have not brought a trusted call yet, by where they come from: nobody may hold them all. */
export class Strangers {
  readonly #perNetworkMax: number;
  readonly #portsOf = new Map<string, Set<number>>();

  constructor(perNetworkMax: number) {
    this.#perNetworkMax = perNetworkMax;
  }

  /** A new connection. False: there are too many from there. */
  meet(socket: Socket): boolean {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) return false;
    const network = networkOf(remoteAddress);
    const ports = this.#portsOf.get(network) ?? new Set();
    if (ports.size >= this.#perNetworkMax) return false;
    this.#portsOf.set(network, ports.add(remotePort));
    socket.once('close', () => this.#forget(network, remotePort));
    return true;
  }

  /** A trusted call came over it. */
  know({ remoteAddress, remotePort }: Socket): void {
    if (remoteAddress !== undefined && remotePort !== undefined) this.#forget(networkOf(remoteAddress), remotePort);
  }

  #forget(network: string, port: number): void {
    const ports = this.#portsOf.get(network);
    ports?.delete(port);
    if (ports?.size === 0) this.#portsOf.delete(network);
  }
}

const IPV6_GROUPS = 8;
/** What one customer of a provider has at least: with so many addresses none of them counts alone. */
const IPV6_NETWORK_GROUPS = 4;

/** An IPv4 address, or the /64 of an IPv6 address. */
export function networkOf(address: string): string {
  if (!isIPv6(address) || address.includes('.')) return address;
  const [head = [], tail = []] = address.split('::').map((part) => part.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: IPV6_GROUPS - head.length - tail.length }, () => '0');
  return [...head, ...zeros, ...tail].slice(0, IPV6_NETWORK_GROUPS).join(':');
}
