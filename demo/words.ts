/** Words that the demo's names and notes are made of. */
export const FIRST_NAMES =
  'Ingrid Nora Emma Sofie Astrid Maja Solveig Hedda Silje Åse Øyvind Bjørn Lars Kåre Håkon Sindre Eirik Jørgen Tor Magnus Ylva Linnéa Göran Åke Søren Mette Ásta Guðrún Aino Väinö Jürgen Käthe François Zoë Łukasz Małgorzata Ondřej Žofie Iñigo Núria João Inês Siobhán Pádraig Elena Giulia Luca Matteo Anna Peter Thomas Maria Daniel Sara'.split(
    ' ',
  );

export const LAST_NAMES =
  "Hansen Johansen Olsen Larsen Andersen Pedersen Nilsen Kristiansen Bakken Haugen Strand Lunde Sæther Grønning Åsheim Østby Ødegård Bjørnstad Vågen Tjøme Lindström Öberg Sjögren Nyström Rasmussen Møller Þórsson Jónsdóttir Virtanen Mäkelä Müller Schäfer Weiß D'Angelo O'Brien Ní Lefèvre Peña Castaño Wójcik Kowalski Novák Černý García Fernández Rossi Ferrari Silva Gonçalves Dubois Moreau Jansen Visser".split(
    ' ',
  );

export const COMPANY_STEMS =
  'Nordlys Fjord Havørn Bjørk Granitt Solberg Viken Midnatt Polar Tind Sjø Ravn Elv Fossekall Kystverk Alpin Øresund Malmö Aarhus Aurora Baltic Donau Rhein Loire Iberia Atlas Meridian Horisont Kompass Anker Tømmer Sølv Kobber Stål Glass Lin Ull Korn Salt'.split(
    ' ',
  );

export const COMPANY_TRADES =
  'Consulting Energi Shipping Bygg Elektro Regnskap Logistikk Seafood Design Software Media Helse Bil Eiendom Maskin Turisme Trykk Bakeri Kaffe Advokat'.split(
    ' ',
  );

export const COMPANY_FORMS = ['AS', 'ASA', 'AB', 'A/S', 'Oy', 'GmbH', 'SARL', 'S.p.A.', 'Ltd', 'B.V.'];

export const CITIES =
  'Oslo Bergen Trondheim Stavanger Tromsø Drammen Ålesund Bodø Kristiansand Hamar Göteborg Malmö Uppsala København Århus Helsinki Reykjavík Hamburg München Zürich Wien Kraków Praha Genève Lyon Bilbao Porto Torino Dublin Utrecht'.split(
    ' ',
  );

export const STREETS =
  'Storgata,Kirkegata,Havnegata,Skolegata,Strandveien,Bjørnsons gate,Lindvägen,Hauptstraße,Rue de la Gare,Via Roma,Calle Mayor,Nygade'.split(
    ',',
  );

export const COUNTRIES: readonly (readonly [string, string, string])[] = [
  ['NO', 'Norge', 'NOK'],
  ['SE', 'Sverige', 'SEK'],
  ['DK', 'Danmark', 'DKK'],
  ['FI', 'Suomi', 'EUR'],
  ['IS', 'Ísland', 'ISK'],
  ['DE', 'Deutschland', 'EUR'],
  ['AT', 'Österreich', 'EUR'],
  ['CH', 'Schweiz', 'CHF'],
  ['FR', 'France', 'EUR'],
  ['ES', 'España', 'EUR'],
  ['PT', 'Portugal', 'EUR'],
  ['IT', 'Italia', 'EUR'],
  ['IE', 'Éire', 'EUR'],
  ['NL', 'Nederland', 'EUR'],
  ['PL', 'Polska', 'PLN'],
  ['CZ', 'Česko', 'CZK'],
  ['GB', 'United Kingdom', 'GBP'],
];

export const CATEGORIES = ['Prospect', 'Customer', 'Partner', 'Supplier', 'Competitor', 'Former customer'];

export const TITLES =
  'CEO CFO CTO Sales Purchasing Logistics Accounting Developer Designer Support Legal Marketing'.split(' ');

export const TAGS =
  'VIP newsletter exhibition-2025 exhibition-2026 referral cold warm follow-up risk paying-late no-mail visit'.split(
    ' ',
  );

export const PRODUCTS =
  'Kaffemaskin Kontorstol Skjerm Tastatur Projektor Skrivebord Lampe Hylle Tavle Ruter Server Lisens Kurs Serviceavtale Installasjon'.split(
    ' ',
  );

export const TOPICS =
  'tilbud kontrakt levering faktura demo oppfølging budsjett opplæring reklamasjon møtereferat fornyelse invitasjon prisliste spørsmål'.split(
    ' ',
  );

export const NOTES = [
  'Ønsker å bli oppringt etter ferien.',
  'Asked for a discount of 5 % – said yes to 3 %.',
  'Leveransen er forsinket; ny dato avtales.',
  'Zufrieden, möchte im Herbst verlängern.',
  'Préfère être contacté par courriel.',
  'Møtet flyttes til uke 42.\nTa med oppdatert prisliste.',
  'Budget is approved 👍',
  'Har byttet leverandør, prøv igjen til våren.',
  'Le client demande une facture pro forma.',
  'Kaffe og kake var en suksess ☕',
];
