import { SpeilError } from '../core/error.ts';
import { isTenantName } from '../core/tenant-name.ts';

/** Stands for the tenant in an address that is meant for many. */
export const TENANT_PLACEHOLDER = '{tenant}';

export const hasTenantPlaceholder = (template: string): boolean => template.includes(TENANT_PLACEHOLDER);

/** Throws `USAGE` for what looks like the placeholder and is not: every tenant would get the same database. */
export function refuseOtherPlaceholders(template: string): void {
  const other = /\{[^{}]*\}?|[<%$[(]+tenant[>%\])]*/i.exec(template.replaceAll(TENANT_PLACEHOLDER, ''))?.[0];
  if (other === undefined) return;
  throw new SpeilError('USAGE', `the address of the mirrors has ${other} in it, which stands for nothing`, {
    hint: `Write ${TENANT_PLACEHOLDER} where the name of the tenant belongs.`,
  });
}

/** The address of one tenant's database. In a URL the name is encoded. */
export function fillTemplate(template: string, tenant: string): string {
  const isUrl = /^postgres(?:ql)?:/i.test(template);
  return template.replaceAll(TENANT_PLACEHOLDER, isUrl ? encodeURIComponent(tenant) : tenant);
}

/** The tenant for which `part` of an address was filled to `text`; null when it was none. */
export function tenantIn(part: string, text: string): string | null {
  const [first = '', ...rest] = part.split(TENANT_PLACEHOLDER).map((piece) => RegExp.escape(piece));
  const pattern = rest.length === 0 ? first : `${first}(?<tenant>.+?)${rest.join('\\k<tenant>')}`;
  const tenant = new RegExp(`^${pattern}$`, 'su').exec(text)?.groups?.['tenant'] ?? '';
  return isTenantName(tenant) ? tenant : null;
}
