import { z } from 'zod';
import { SpeilError } from '../../core/error.ts';
import { isLoopback } from '../../service/listen-rule.ts';
import type { CenterSettings } from '../model.ts';
import { type Resource, withoutUndefined } from './parts.ts';
import * as schema from './schemas.ts';

const MINUTES_A_DAY = 24 * 60;
const minute = z
  .int()
  .min(0)
  .max(MINUTES_A_DAY - 1)
  .describe('Of the local day.');

const quietHours = z.strictObject({ fromMinute: minute, toMinute: minute, timezone: z.string().max(100) });
const settings = z.object({
  maintenance: z.boolean(),
  quietHours: z.object({ fromMinute: z.int(), toMinute: z.int(), timezone: z.string() }).nullable(),
  webhook: z.string().nullable().describe('Only its host: the rest of such an address is often its password.'),
});

const changedSettings = settings.extend({
  webhookSecret: z
    .string()
    .nullable()
    .describe(
      'What the alerts are signed with, for the receiver to check. Told when a webhook is set; otherwise null.',
    ),
});

export type ChangedSettingsAnswer = z.output<typeof changedSettings>;
export type SettingsAnswer = z.output<typeof settings>;

export const settingsRoutes: Resource = (api, { store, insecure }) => {
  api.get(
    '/v1/settings',
    {
      config: { access: 'see-all' },
      schema: { summary: 'What holds for the whole center', response: schema.answers({ 200: settings }) },
    },
    async () => shown(await store.settings()),
  );
  api.patch(
    '/v1/settings',
    {
      config: { access: 'operate' },
      schema: {
        summary: 'Changes settings; what is not named stays',
        body: z.strictObject({
          maintenance: z.boolean().optional().describe('No cycles and no wipes at all while on.'),
          quietHours: quietHours
            .nullable()
            .optional()
            .describe('No cycle starts by itself inside; may wrap over midnight.'),
          webhook: z.string().max(2_000).nullable().optional().describe('https://… to which alerts are posted.'),
        }),
        response: schema.answers({ 200: changedSettings }),
      },
    },
    async ({ body }) => {
      if (body.quietHours) checkTimezone(body.quietHours.timezone);
      if (body.webhook) checkWebhook(body.webhook, insecure);
      const saved = shown(await store.saveSettings(withoutUndefined(body)));
      return { ...saved, webhookSecret: body.webhook ? await store.webhookSecret() : null };
    },
  );
};

const shown = ({ webhook, ...rest }: CenterSettings): CenterSettings => ({
  ...rest,
  webhook: webhook === null ? null : `${URL.parse(webhook)?.origin ?? 'https://'}/…`,
});

function checkTimezone(timezone: string): void {
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone });
  } catch (cause) {
    throw new SpeilError('USAGE', `there is no time zone ${JSON.stringify(timezone)}`, {
      hint: 'Write it as Europe/Oslo or UTC.',
      cause,
    });
  }
}

function checkWebhook(webhook: string, insecure: boolean): void {
  const url = URL.parse(webhook);
  if (url !== null && (url.username !== '' || url.password !== '')) {
    throw new SpeilError('USAGE', 'the webhook has a user name or password in it, which cannot be sent', {
      hint: 'Leave it out: messages are signed. A secret may be part of the path.',
    });
  }
  const fits = url?.protocol === 'https:' || (url?.protocol === 'http:' && (insecure || isLoopback(url.hostname)));
  if (!fits) {
    throw new SpeilError('USAGE', 'the webhook is not a URL of https', {
      hint: 'Write it as https://alerts.example/hook.',
    });
  }
}
