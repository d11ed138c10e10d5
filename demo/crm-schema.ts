/** The tables of a small company's CRM: keys of one and of several columns, one table without a key, one WITHOUT ROWID. */
export const CRM_SCHEMA = `
CREATE TABLE country (code TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, currency TEXT NOT NULL);
CREATE TABLE category (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, rank INTEGER NOT NULL DEFAULT 0);
CREATE TABLE associate (
  id INTEGER PRIMARY KEY, login TEXT NOT NULL UNIQUE, full_name TEXT NOT NULL, is_active BOOLEAN NOT NULL DEFAULT 1, hired DATE
);
CREATE TABLE company (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, org_number TEXT, category_id INTEGER NOT NULL REFERENCES category,
  country_code TEXT NOT NULL REFERENCES country, owner_id INTEGER REFERENCES associate, website TEXT, employees INTEGER,
  credit_limit DECIMAL(12,2), registered TEXT NOT NULL, updated TEXT, note TEXT
);
CREATE INDEX company_name ON company (name);
CREATE TABLE address (
  company_id INTEGER NOT NULL REFERENCES company ON DELETE CASCADE, kind TEXT NOT NULL, street TEXT NOT NULL, zip TEXT,
  city TEXT NOT NULL, latitude REAL, longitude REAL, PRIMARY KEY (company_id, kind)
);
CREATE TABLE person (
  id INTEGER PRIMARY KEY, company_id INTEGER REFERENCES company ON DELETE SET NULL, first_name TEXT NOT NULL,
  last_name TEXT NOT NULL, title TEXT, birthday DATE, no_mail BOOLEAN NOT NULL DEFAULT 0, updated TEXT,
  display_name TEXT GENERATED ALWAYS AS (first_name || ' ' || last_name) VIRTUAL
);
CREATE INDEX person_company ON person (company_id);
CREATE TABLE phone (
  person_id INTEGER NOT NULL REFERENCES person ON DELETE CASCADE, position INTEGER NOT NULL, kind TEXT NOT NULL,
  number TEXT NOT NULL, PRIMARY KEY (person_id, position)
) WITHOUT ROWID;
CREATE TABLE email_address (
  id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL REFERENCES person ON DELETE CASCADE, address TEXT NOT NULL, bounced BOOLEAN
);
CREATE TABLE tag (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, color TEXT);
CREATE TABLE company_tag (
  company_id INTEGER NOT NULL REFERENCES company ON DELETE CASCADE, tag_id INTEGER NOT NULL REFERENCES tag,
  PRIMARY KEY (company_id, tag_id)
) WITHOUT ROWID;
CREATE TABLE product (
  id INTEGER PRIMARY KEY, sku TEXT NOT NULL UNIQUE, name TEXT NOT NULL, unit_price DECIMAL(10,2) NOT NULL, weight_kg REAL,
  discontinued BOOLEAN NOT NULL DEFAULT 0
);
CREATE TABLE price (
  product_id INTEGER NOT NULL REFERENCES product, currency TEXT NOT NULL, amount DECIMAL(10,2) NOT NULL,
  PRIMARY KEY (product_id, currency)
);
CREATE TABLE project (
  id INTEGER PRIMARY KEY, company_id INTEGER REFERENCES company ON DELETE SET NULL, name TEXT NOT NULL, status TEXT NOT NULL,
  starts DATE NOT NULL, ends DATE, budget DECIMAL(14,2)
);
CREATE TABLE project_member (
  project_id INTEGER NOT NULL REFERENCES project ON DELETE CASCADE, person_id INTEGER NOT NULL REFERENCES person ON DELETE CASCADE,
  role TEXT, PRIMARY KEY (project_id, person_id)
);
CREATE TABLE sale (
  id INTEGER PRIMARY KEY, company_id INTEGER REFERENCES company ON DELETE SET NULL, person_id INTEGER REFERENCES person ON DELETE SET NULL,
  project_id INTEGER REFERENCES project ON DELETE SET NULL, associate_id INTEGER REFERENCES associate, heading TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'open', probability INTEGER, currency TEXT NOT NULL, sale_date TEXT NOT NULL
);
CREATE TABLE sale_line (
  sale_id INTEGER NOT NULL REFERENCES sale ON DELETE CASCADE, line INTEGER NOT NULL, product_id INTEGER NOT NULL REFERENCES product,
  quantity INTEGER NOT NULL, unit_price DECIMAL(10,2) NOT NULL,
  amount DECIMAL(12,2) GENERATED ALWAYS AS (quantity * unit_price) STORED, PRIMARY KEY (sale_id, line)
);
CREATE TABLE appointment (
  id INTEGER PRIMARY KEY, company_id INTEGER REFERENCES company ON DELETE SET NULL, person_id INTEGER REFERENCES person ON DELETE SET NULL,
  associate_id INTEGER NOT NULL REFERENCES associate, kind TEXT NOT NULL, starts TEXT NOT NULL, minutes INTEGER NOT NULL,
  done BOOLEAN NOT NULL DEFAULT 0, agenda TEXT
);
CREATE TABLE document (
  id INTEGER PRIMARY KEY, company_id INTEGER REFERENCES company ON DELETE SET NULL, sale_id INTEGER REFERENCES sale ON DELETE SET NULL,
  file_name TEXT NOT NULL, bytes INTEGER NOT NULL, digest BLOB NOT NULL, created TEXT NOT NULL
);
CREATE TABLE email (
  id INTEGER PRIMARY KEY, person_id INTEGER REFERENCES person ON DELETE SET NULL, associate_id INTEGER REFERENCES associate,
  direction TEXT NOT NULL, subject TEXT NOT NULL, body TEXT, sent TEXT NOT NULL, message_id TEXT NOT NULL
);
CREATE INDEX email_person ON email (person_id);
CREATE TABLE preference (associate_id INTEGER NOT NULL, section TEXT NOT NULL, name TEXT NOT NULL, value, PRIMARY KEY (associate_id, section, name));
CREATE TABLE visit_log (at TEXT, login TEXT, page TEXT, milliseconds REAL);
CREATE VIEW open_sale AS SELECT s.id, c.name, s.heading FROM sale s JOIN company c ON c.id = s.company_id WHERE s.status = 'open';
`;
