import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createSoapClient, type SoapClientOptions } from '../../../src/client/soap/sender.ts';
import { openSource, runtime } from '../../../src/open.ts';
import { runTask } from '../../../src/task/mirroring-task.ts';
import { PREFERENCES_DEFAULT, type Preferences } from '../../../src/task/preferences.ts';
import type { CycleReport, TaskEvent } from '../../../src/task/report.ts';
import type { Schedule } from '../../../src/task/schedule.ts';

type Pair = { readonly privateKey: KeyObject; readonly publicKey: KeyObject };

const rsaPair = (): Pair => generateKeyPairSync('rsa', { modulusLength: 2048 });

/** The task's side, and the application. */
export const soapKeys: { readonly task: Pair; readonly application: Pair } = {
  task: rsaPair(),
  application: rsaPair(),
};

export type SoapCycle = { readonly report: CycleReport; readonly events: readonly TaskEvent[] };

export const soapClientTo = (url: string, more: Partial<SoapClientOptions> = {}) =>
  createSoapClient({
    url,
    tenant: 'Cust10195',
    application: 'my-app',
    signingKey: soapKeys.task.privateKey,
    clientPublicKey: soapKeys.application.publicKey,
    clock: runtime.clock,
    ...more,
  });

export type SoapTask = { readonly preferences?: Partial<Preferences>; readonly schedule?: Schedule };

/** One cycle of a task that remembers nothing, from a source to whatever speaks the contract at the address. */
export async function soapCycle(
  source: string,
  url: string,
  more: Partial<SoapClientOptions> = {},
  { preferences = {}, schedule = { kind: 'once' } }: SoapTask = {},
): Promise<SoapCycle> {
  const events: TaskEvent[] = [];
  await using opened = await openSource(source);
  await using client = soapClientTo(url, more);
  const batchBytes = more.batchBytes ?? PREFERENCES_DEFAULT.batchBytes;
  const report = await runTask(
    {
      ...runtime,
      source: opened,
      client,
      tenant: 'Cust10195',
      preferences: { ...PREFERENCES_DEFAULT, ...preferences, batchBytes },
      selection: { schemas: null },
      takeOver: false,
      emit: (event) => events.push(event),
      signal: new AbortController().signal,
    },
    schedule,
  );
  return { report, events };
}
