import { DatabaseSync } from 'node:sqlite';

/** Makes a small source and answers its address. */
export function sqliteSource(path: string): string {
  using database = new DatabaseSync(path);
  database.exec("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO person VALUES (1, 'Ada')");
  return `sqlite:${path}`;
}
