import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { dateBefore, subject } from './crm.ts';
import { type SeededRandom, seededRandom } from './random.ts';
import { FIRST_NAMES, LAST_NAMES, NOTES, TITLES } from './words.ts';

type Run = (sql: string, ...values: readonly SQLInputValue[]) => number;
type Task = (run: Run, random: SeededRandom, anyId: (table: string) => number) => void;

/** What people of the company do all day; each is one transaction. The heavier, the rarer. */
const TASKS: readonly { readonly weight: number; readonly task: Task }[] = [
  { weight: 30, task: receiveEmail },
  { weight: 25, task: makeSale },
  { weight: 20, task: holdAppointment },
  { weight: 8, task: editCompany },
  { weight: 6, task: hirePerson },
  { weight: 4, task: renumberLines },
  { weight: 3, task: deletePerson },
  { weight: 1, task: mergeCompanies },
  { weight: 1, task: raisePrices },
  { weight: 1, task: browse },
  { weight: 1, task: cleanLog },
];

export type Office = Disposable & {
  /** Does one piece of work, in one transaction. */
  work(): void;
};

/** People at work in the CRM of `createCrm`, on a connection of their own. */
export function openOffice(path: string, seed: number): Office {
  const database = new DatabaseSync(path, { timeout: 5_000 });
  database.exec('PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL;');
  const random = seededRandom(seed);
  const run: Run = (sql, ...values) => Number(database.prepare(sql).run(...values).changes);
  const anyId = (table: string) => {
    const top = database.prepare(`SELECT coalesce(max(id), 1) AS top FROM ${table}`).get() as { readonly top: number };
    return random.between(1, top.top);
  };
  const work = () => inTransaction(database, () => pickTask(random)(run, random, anyId));
  return { work, [Symbol.dispose]: () => database.close() };
}

function inTransaction(database: DatabaseSync, work: () => void): void {
  database.exec('BEGIN IMMEDIATE');
  try {
    work();
    database.exec('COMMIT');
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}

function pickTask(random: SeededRandom): Task {
  const tickets = TASKS.flatMap(({ weight, task }) => Array.from({ length: weight }, () => task));
  return random.pick(tickets);
}

function receiveEmail(run: Run, random: SeededRandom, anyId: (table: string) => number): void {
  run(
    `INSERT INTO email (person_id, associate_id, direction, subject, body, sent, message_id)
     VALUES ((SELECT id FROM person WHERE id = ?), ?, 'in', ?, ?, datetime('now'), ?)`,
    anyId('person'),
    random.between(1, 25),
    subject(random),
    random.pick(NOTES),
    `<${random.between(1, 1e9)}@mail.example.com>`,
  );
}

function browse(run: Run, random: SeededRandom): void {
  const visit = "INSERT INTO visit_log VALUES (datetime('now'), ?, ?, ?)";
  run(visit, `user${random.between(1, 25)}`, random.pick(['/company', '/sale', '/diary']), random.unit() * 500);
}

function makeSale(run: Run, random: SeededRandom, anyId: (table: string) => number): void {
  const company = anyId('company');
  run(
    `INSERT INTO sale (company_id, associate_id, heading, probability, currency, sale_date)
     VALUES ((SELECT id FROM company WHERE id = ?), ?, ?, ?, 'NOK', datetime('now'))`,
    company,
    random.between(1, 25),
    subject(random),
    random.between(1, 10) * 10,
  );
  const lines = random.between(1, 4);
  for (let line = 1; line <= lines; line++) {
    run(
      `INSERT INTO sale_line (sale_id, line, product_id, quantity, unit_price)
       VALUES ((SELECT max(id) FROM sale), ?, ?, ?, ?)`,
      line,
      anyId('product'),
      random.skewed(1, 20),
      random.between(100, 900_000) / 100,
    );
  }
  run("UPDATE company SET updated = datetime('now') WHERE id = ?", company);
}

function holdAppointment(run: Run, random: SeededRandom, anyId: (table: string) => number): void {
  const appointment = anyId('appointment');
  run('UPDATE appointment SET done = 1, agenda = ? WHERE id = ?', random.pick(NOTES), appointment);
  run(
    `INSERT INTO appointment (company_id, person_id, associate_id, kind, starts, minutes)
     SELECT company_id, person_id, associate_id, 'meeting', datetime('now', '+7 days'), 60 FROM appointment WHERE id = ?`,
    appointment,
  );
}

function editCompany(run: Run, random: SeededRandom, anyId: (table: string) => number): void {
  const note = random.chance(0.8) ? random.pick(NOTES) : null;
  const change = "UPDATE company SET note = ?, category_id = ?, updated = datetime('now') WHERE id = ?";
  run(change, note, random.between(1, 6), anyId('company'));
}

function hirePerson(run: Run, random: SeededRandom, anyId: (table: string) => number): void {
  run(
    `INSERT INTO person (company_id, first_name, last_name, title, birthday)
     VALUES ((SELECT id FROM company WHERE id = ?), ?, ?, ?, ?)`,
    anyId('company'),
    random.pick(FIRST_NAMES),
    random.pick(LAST_NAMES),
    random.pick(TITLES),
    dateBefore(random, 15_000),
  );
  run("INSERT INTO phone SELECT max(id), 1, 'mobile', ? FROM person", `+47 ${random.between(2e7, 9e7)}`);
}

/** Keys that change: all lines of a sale move by one, and the last becomes the first. */
function renumberLines(run: Run, _: SeededRandom, anyId: (table: string) => number): void {
  const sale = anyId('sale');
  run('UPDATE sale_line SET line = -line - 1 WHERE sale_id = ?', sale);
  run('UPDATE sale_line SET line = -line WHERE sale_id = ?', sale);
}

function deletePerson(run: Run, _: SeededRandom, anyId: (table: string) => number): void {
  run('DELETE FROM person WHERE id = ?', anyId('person'));
}

/** One of two companies that were the same is deleted, and with it its addresses and tags. */
function mergeCompanies(run: Run, _: SeededRandom, anyId: (table: string) => number): void {
  const kept = anyId('company');
  const dropped = anyId('company');
  const move = (table: string) =>
    run(`UPDATE ${table} SET company_id = (SELECT id FROM company WHERE id = ?) WHERE company_id = ?`, kept, dropped);
  for (const table of ['person', 'sale', 'project']) move(table);
  if (kept !== dropped) run('DELETE FROM company WHERE id = ?', dropped);
}

function raisePrices(run: Run, random: SeededRandom): void {
  const currency = random.pick(['NOK', 'EUR', 'SEK', 'DKK']);
  run('UPDATE price SET amount = round(amount * 1.02, 2) WHERE currency = ?', currency);
}

function cleanLog(run: Run, random: SeededRandom): void {
  run('DELETE FROM visit_log WHERE rowid IN (SELECT rowid FROM visit_log ORDER BY at LIMIT ?)', random.between(1, 20));
}
