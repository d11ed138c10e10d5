import { randomBytes } from 'node:crypto';
import { WEBHOOK_PURPOSE, WEBHOOK_SECRET_PURPOSE } from './key-check.ts';
import type { CenterSettings, QuietHours } from './model.ts';
import type { Store } from './store.ts';
import { assignments, json, type StoredRow, type StoreParts } from './store-sql.ts';

const COLUMNS = 'maintenance, quiet_hours, webhook';

/** As the Standard Webhooks specification writes such secrets: `whsec_` and 24 to 64 bytes in base64. */
const newWebhookSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;

export function settingsStore(parts: StoreParts): Pick<Store, 'settings' | 'saveSettings' | 'webhookSecret'> {
  const { database } = parts;
  return {
    settings: async () => await settingsOf(parts, await database.query(`SELECT ${COLUMNS} FROM speil_center.settings`)),
    saveSettings: async (change) => {
      const { text, values } = assignments(await columnsOf(parts, change), 0);
      const set = text === '' ? 'single = single' : text;
      const rows = await database.query(`UPDATE speil_center.settings SET ${set} RETURNING ${COLUMNS}`, values);
      return await settingsOf(parts, rows);
    },
    webhookSecret: () => webhookSecret(parts),
  };
}

async function columnsOf({ secrets }: StoreParts, change: Partial<CenterSettings>) {
  const { maintenance, quietHours, webhook } = change;
  return {
    maintenance,
    quiet_hours: quietHours === undefined ? undefined : json(quietHours),
    webhook: typeof webhook === 'string' ? (await secrets()).seal(webhook, WEBHOOK_PURPOSE) : webhook,
  };
}

async function settingsOf({ secrets }: StoreParts, rows: readonly StoredRow[]): Promise<CenterSettings> {
  const webhook = rows[0]?.['webhook'] ?? null;
  return {
    maintenance: rows[0]?.['maintenance'] === true,
    quietHours: (rows[0]?.['quiet_hours'] ?? null) as QuietHours | null,
    webhook: webhook === null ? null : (await secrets()).open(String(webhook), WEBHOOK_PURPOSE),
  };
}

/** Made when it is first asked for; of several centers that ask at once, one makes it. */
async function webhookSecret({ database, secrets }: StoreParts): Promise<string> {
  const read = async () =>
    (await database.query('SELECT webhook_secret FROM speil_center.settings'))[0]?.['webhook_secret'];
  if ((await read()) === null) {
    const sealed = (await secrets()).seal(newWebhookSecret(), WEBHOOK_SECRET_PURPOSE);
    await database.query('UPDATE speil_center.settings SET webhook_secret = $1 WHERE webhook_secret IS NULL', [sealed]);
  }
  return (await secrets()).open(String(await read()), WEBHOOK_SECRET_PURPOSE);
}
