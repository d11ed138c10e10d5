import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { CRM_SCHEMA } from './crm-schema.ts';
import { type SeededRandom, seededRandom } from './random.ts';
import * as words from './words.ts';

export type CrmOptions = {
  /** The same seed makes the same data. */
  readonly seed: number;
  /** Rows of all tables together, at least 2,000; the smallest tables keep their size. */
  readonly rows: number;
};

export type CrmSize = { readonly tables: number; readonly rows: number };

type Row = readonly SQLInputValue[];
type Filler = (random: SeededRandom, id: number, sizes: Sizes) => Row;
type Sizes = Readonly<Record<string, number>>;
type Table = { readonly name: string; readonly columns: string; readonly rows: number; readonly fill: Filler };

/** The last day that the data knows of. */
const TODAY = Date.UTC(2026, 9, 30);
const DAY = 86_400_000;

/** Shares of the rows that are not in tables of fixed size; `email` gets what is left. */
const SHARES: Readonly<Record<string, number>> = {
  company: 0.04,
  address: 0.05,
  person: 0.11,
  phone: 0.1,
  email_address: 0.08,
  company_tag: 0.03,
  product: 0.002,
  price: 0.006,
  project: 0.008,
  project_member: 0.02,
  sale: 0.05,
  sale_line: 0.12,
  appointment: 0.18,
  document: 0.04,
  visit_log: 0.005,
};

/** Makes the SQLite database of a small company's CRM; the file must not be there yet. */
export function createCrm(path: string, { seed, rows }: CrmOptions): CrmSize {
  const database = new DatabaseSync(path);
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;');
  database.exec(CRM_SCHEMA);
  const tables = planTables(rows);
  const sizes = Object.fromEntries(tables.map((table) => [table.name, table.rows]));
  database.exec('BEGIN');
  for (const [index, table] of tables.entries()) fillTable(database, table, seededRandom(seed * 1000 + index), sizes);
  database.exec('COMMIT');
  database.exec('PRAGMA synchronous = NORMAL; ANALYZE;');
  database.close();
  return { tables: tables.length, rows: tables.reduce((sum, table) => sum + table.rows, 0) };
}

function planTables(rows: number): readonly Table[] {
  const fixed = FIXED.reduce((sum, table) => sum + table.rows, 0);
  const scaled = SCALED.map((table) => ({ ...table, rows: Math.floor((SHARES[table.name] ?? 0) * (rows - fixed)) }));
  const left = rows - fixed - scaled.reduce((sum, table) => sum + table.rows, 0);
  return [...FIXED, ...scaled, { ...EMAIL, rows: left }];
}

function fillTable(database: DatabaseSync, table: Table, random: SeededRandom, sizes: Sizes): void {
  const places = table.columns
    .split(',')
    .map(() => '?')
    .join(', ');
  const insert = database.prepare(`INSERT INTO ${table.name} (${table.columns}) VALUES (${places})`);
  for (let id = 1; id <= table.rows; id++) insert.run(...table.fill(random, id, sizes));
}

export const dateBefore = (random: SeededRandom, days: number): string => stamp(TODAY - random.between(1, days) * DAY);
const stamp = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
const timeBefore = (random: SeededRandom, days: number): string =>
  `${dateBefore(random, days)} ${two(random.between(7, 18))}:${two(random.between(0, 11) * 5)}:00`;
const two = (value: number): string => String(value).padStart(2, '0');
const money = (random: SeededRandom, from: number, to: number): number => random.between(from * 100, to * 100) / 100;
const orNull = <T>(random: SeededRandom, share: number, value: T): T | null => (random.chance(share) ? value : null);
const size = (sizes: Sizes, table: string): number => sizes[table] ?? 1;
const some = (random: SeededRandom, sizes: Sizes, table: string): number => random.skewed(1, size(sizes, table));

/** Distinct pairs for composite keys: `id` 1, 2, 3… walks through `outer` again and again, one step further inside. */
const pair = (id: number, outer: number): readonly [number, number] => [
  ((id - 1) % outer) + 1,
  Math.floor((id - 1) / outer) + 1,
];

export const companyName = (random: SeededRandom): string =>
  `${random.pick(words.COMPANY_STEMS)} ${random.pick(words.COMPANY_TRADES)} ${random.pick(words.COMPANY_FORMS)}`;
const personName = (random: SeededRandom): readonly [string, string] => [
  random.pick(words.FIRST_NAMES),
  random.pick(words.LAST_NAMES),
];
const ascii = (text: string): string =>
  text
    .normalize('NFKD')
    .replace(/[^A-Za-z]/g, '')
    .toLowerCase() || 'post';
const digest = (random: SeededRandom): Uint8Array => Uint8Array.from({ length: 32 }, () => random.between(0, 255));
export const subject = (random: SeededRandom): string =>
  `${random.chance(0.4) ? 'Re: ' : ''}${random.pick(words.TOPICS)} ${random.between(1000, 9999)}`;

const FIXED: readonly Table[] = [
  {
    name: 'country',
    columns: 'code, name, currency',
    rows: words.COUNTRIES.length,
    fill: (_, id) => words.COUNTRIES[id - 1] ?? [],
  },
  {
    name: 'category',
    columns: 'id, name, rank',
    rows: words.CATEGORIES.length,
    fill: (_, id) => [id, words.CATEGORIES[id - 1] ?? '', id * 10],
  },
  {
    name: 'associate',
    columns: 'id, login, full_name, is_active, hired',
    rows: 25,
    fill: (random, id) => {
      const [first, last] = personName(random);
      return [
        id,
        `${ascii(first).slice(0, 3)}${id}`,
        `${first} ${last}`,
        random.chance(0.9) ? 1 : 0,
        dateBefore(random, 4000),
      ];
    },
  },
  {
    name: 'tag',
    columns: 'id, name, color',
    rows: words.TAGS.length,
    fill: (random, id) => [id, words.TAGS[id - 1] ?? '', orNull(random, 0.7, `#${two(id * 7)}a0c0`)],
  },
  {
    name: 'preference',
    columns: 'associate_id, section, name, value',
    rows: 200,
    fill: (random, id) => {
      const [associate, index] = pair(id, 25);
      const value = random.pick<SQLInputValue>([1, 0, 'no-NB', 14.5, null, 'true']);
      return [associate, index % 2 === 0 ? 'Mail' : 'Visual', `setting${index}`, value];
    },
  },
];

const SCALED: readonly Omit<Table, 'rows'>[] = [
  {
    name: 'company',
    columns:
      'id, name, org_number, category_id, country_code, owner_id, website, employees, credit_limit, registered, updated, note',
    fill: (random, id) => {
      const name = companyName(random);
      const site = `https://www.${ascii(name)}.example`;
      const [country] = random.pick(words.COUNTRIES);
      return [
        id,
        name,
        orNull(random, 0.9, String(random.between(800_000_000, 999_999_999))),
        random.skewed(1, words.CATEGORIES.length),
        country,
        random.between(1, 25),
        orNull(random, 0.6, site),
        orNull(random, 0.7, random.skewed(1, 4000)),
        money(random, 0, 500_000),
        dateBefore(random, 3000),
        orNull(random, 0.5, timeBefore(random, 700)),
        orNull(random, 0.3, random.pick(words.NOTES)),
      ];
    },
  },
  {
    name: 'address',
    columns: 'company_id, kind, street, zip, city, latitude, longitude',
    fill: (random, id, sizes) => {
      const [company, index] = pair(id, size(sizes, 'company'));
      const street = `${random.pick(words.STREETS)} ${random.between(1, 120)}`;
      const place = [orNull(random, 0.8, 47 + random.unit() * 23), orNull(random, 0.8, random.unit() * 25)];
      return [
        company,
        ['visit', 'post'][index - 1] ?? `site ${index}`,
        street,
        two(random.between(100, 9999)),
        random.pick(words.CITIES),
        ...place,
      ];
    },
  },
  {
    name: 'person',
    columns: 'id, company_id, first_name, last_name, title, birthday, no_mail, updated',
    fill: (random, id, sizes) => [
      id,
      orNull(random, 0.96, some(random, sizes, 'company')),
      ...personName(random),
      orNull(random, 0.7, random.pick(words.TITLES)),
      orNull(random, 0.4, stamp(Date.UTC(1950 + random.between(0, 55), random.between(0, 11), random.between(1, 28)))),
      random.chance(0.1) ? 1 : 0,
      orNull(random, 0.5, timeBefore(random, 700)),
    ],
  },
  {
    name: 'phone',
    columns: 'person_id, position, kind, number',
    fill: (random, id, sizes) => {
      const [person, position] = pair(id, size(sizes, 'person'));
      return [
        person,
        position,
        random.pick(['mobile', 'direct', 'private']),
        `+47 ${random.between(20_000_000, 99_999_999)}`,
      ];
    },
  },
  {
    name: 'email_address',
    columns: 'id, person_id, address, bounced',
    fill: (random, id, sizes) => {
      const [first, last] = personName(random);
      const address = `${ascii(first)}.${ascii(last)}${id}@example.com`;
      return [id, pair(id, size(sizes, 'person'))[0], address, orNull(random, 0.2, random.chance(0.5) ? 1 : 0)];
    },
  },
  {
    name: 'company_tag',
    columns: 'company_id, tag_id',
    fill: (_, id, sizes) => [...pair(id, size(sizes, 'company'))],
  },
  {
    name: 'product',
    columns: 'id, sku, name, unit_price, weight_kg, discontinued',
    fill: (random, id) => [
      id,
      `SKU-${10_000 + id}`,
      `${random.pick(words.PRODUCTS)} ${random.between(100, 999)}`,
      money(random, 10, 20_000),
      orNull(random, 0.7, random.unit() * 40),
      random.chance(0.1) ? 1 : 0,
    ],
  },
  {
    name: 'price',
    columns: 'product_id, currency, amount',
    fill: (random, id, sizes) => {
      const [product, index] = pair(id, size(sizes, 'product'));
      return [product, ['NOK', 'EUR', 'SEK', 'DKK'][index - 1] ?? `X${index}`, money(random, 10, 20_000)];
    },
  },
  {
    name: 'project',
    columns: 'id, company_id, name, status, starts, ends, budget',
    fill: (random, id, sizes) => [
      id,
      some(random, sizes, 'company'),
      `${random.pick(words.COMPANY_STEMS)} ${random.between(2019, 2027)}`,
      random.pick(['planned', 'running', 'done', 'stopped']),
      dateBefore(random, 2000),
      orNull(random, 0.5, dateBefore(random, 300)),
      money(random, 10_000, 4_000_000),
    ],
  },
  {
    name: 'project_member',
    columns: 'project_id, person_id, role',
    fill: (random, id, sizes) => {
      const [project, index] = pair(id, size(sizes, 'project'));
      const person = ((project * 31 + index) % size(sizes, 'person')) + 1;
      return [project, person, orNull(random, 0.8, random.pick(words.TITLES))];
    },
  },
  {
    name: 'sale',
    columns: 'id, company_id, person_id, project_id, associate_id, heading, status, probability, currency, sale_date',
    fill: (random, id, sizes) => [
      id,
      some(random, sizes, 'company'),
      orNull(random, 0.9, some(random, sizes, 'person')),
      orNull(random, 0.2, some(random, sizes, 'project')),
      random.between(1, 25),
      subject(random),
      random.pick(['open', 'sold', 'sold', 'lost']),
      orNull(random, 0.8, random.between(1, 10) * 10),
      random.pick(words.COUNTRIES)[2],
      timeBefore(random, 1500),
    ],
  },
  {
    name: 'sale_line',
    columns: 'sale_id, line, product_id, quantity, unit_price',
    fill: (random, id, sizes) => [
      ...pair(id, size(sizes, 'sale')),
      some(random, sizes, 'product'),
      random.skewed(1, 40),
      money(random, 10, 20_000),
    ],
  },
  {
    name: 'appointment',
    columns: 'id, company_id, person_id, associate_id, kind, starts, minutes, done, agenda',
    fill: (random, id, sizes) => [
      id,
      orNull(random, 0.9, some(random, sizes, 'company')),
      orNull(random, 0.8, some(random, sizes, 'person')),
      random.between(1, 25),
      random.pick(['call', 'meeting', 'visit', 'task']),
      timeBefore(random, 1200),
      random.between(1, 8) * 15,
      random.chance(0.7) ? 1 : 0,
      orNull(random, 0.5, random.pick(words.NOTES)),
    ],
  },
  {
    name: 'document',
    columns: 'id, company_id, sale_id, file_name, bytes, digest, created',
    fill: (random, id, sizes) => [
      id,
      some(random, sizes, 'company'),
      orNull(random, 0.5, some(random, sizes, 'sale')),
      `${random.pick(words.TOPICS)}-${id}.${random.pick(['pdf', 'docx', 'xlsx'])}`,
      random.skewed(2_000, 9_000_000),
      digest(random),
      timeBefore(random, 1500),
    ],
  },
  {
    name: 'visit_log',
    columns: 'at, login, page, milliseconds',
    fill: (random) => [
      timeBefore(random, 60),
      `user${random.between(1, 25)}`,
      random.pick(['/company', '/person', '/sale', '/diary']),
      random.unit() * 900,
    ],
  },
];

const EMAIL: Omit<Table, 'rows'> = {
  name: 'email',
  columns: 'id, person_id, associate_id, direction, subject, body, sent, message_id',
  fill: (random, id, sizes) => [
    id,
    orNull(random, 0.9, some(random, sizes, 'person')),
    random.between(1, 25),
    random.pick(['in', 'out']),
    subject(random),
    orNull(
      random,
      0.9,
      `${random.pick(words.NOTES)}\n\n${random.pick(words.NOTES)}\n-- \n${personName(random).join(' ')}`,
    ),
    timeBefore(random, 900),
    `<${id}.${random.between(1e6, 9e6)}@mail.example.com>`,
  ],
};
