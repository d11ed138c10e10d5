/** Where a database is, as the user typed it. `url` may hold a password and is never printed; `display` never does. */
export type DatabaseLocation =
  | { readonly kind: 'postgres'; readonly url: string; readonly display: string }
  | { readonly kind: 'sqlite'; readonly path: string; readonly display: string };
