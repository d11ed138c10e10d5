import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { escapeText, isNil, NIL_NAMESPACE, XmlReader } from './xml.ts';

/** The document as its events, read in pieces of `pieceBytes`. */
function eventsOf(document: string | Uint8Array, pieceBytes = 1 << 20): readonly string[] {
  const bytes = Buffer.from(document);
  const events: string[] = [];
  const reader = new XmlReader({
    open: ({ namespace, name }, attributes) => events.push(`<{${namespace}}${name}${isNil(attributes) ? ' nil' : ''}`),
    text: (text) => events.push(text),
    close: () => events.push('>'),
  });
  for (let at = 0; at < bytes.length; at += pieceBytes) reader.write(bytes.subarray(at, at + pieceBytes));
  reader.end();
  return events;
}

const textOf = (content: string): string => eventsOf(`<a>${content}</a>`).slice(1, -1).join('');
const refuses = (document: string | Uint8Array, why: RegExp) =>
  assert.throws(
    () => eventsOf(document),
    (error: Error) => why.test(error.message) && 'code' in error && error.code === 'CONTRACT_BROKEN',
  );

describe('an XML document is read', () => {
  test('whatever its prefixes are, in pieces of any size', () => {
    const document = `\uFEFF<?xml version="1.0" encoding="utf-8"?>\r\n<!-- a comment --><q:a xmlns:q="urn:x" xmlns="urn:y"><b i:nil="true" xmlns:i="${NIL_NAMESPACE}"/><c>å&#x1F600;\r\n<![CDATA[<&]]></c></q:a>\n`;
    const events = ['<{urn:x}a', '<{urn:y}b nil', '>', '<{urn:y}c', 'å😀\n', '<&', '>', '>'];
    for (const size of [1, 2, 3, 7, 1000]) assert.deepEqual(eventsOf(document, size).join('|'), events.join('|'));
  });

  test('in UTF-16 as well, with a byte order mark or without', () => {
    const declared = '<?xml version="1.0" encoding="utf-16"?><a>blåbær 😀</a>';
    const expected = ['<{}a', 'blåbær 😀', '>'];
    const little = Buffer.from(`\uFEFF${declared}`, 'utf16le');
    const big = Buffer.from(little).swap16();
    for (const bytes of [little, big, little.subarray(2), big.subarray(2)]) {
      for (const size of [1, 5, 1000]) assert.deepEqual(eventsOf(bytes, size), expected);
    }
  });

  test('with references to characters that XML 1.0 does not have, as .NET writes them', () => {
    assert.equal(textOf('a&#x1;&#31;&#x0;&#xFFFE;b'), 'a\u0001\u001f\0\ufffeb');
    assert.equal(textOf('<![CDATA[&#x1;]]>&amp;#x1;'), '&#x1;&#x1;');
    assert.equal(textOf('&lt;&gt;&amp;&quot;&apos;&#xD;&#10;'), '<>&"\'\r\n');
  });
});

describe('an XML document is refused', () => {
  test('with a document type, and with it every entity that could be large or somewhere else', () => {
    const bomb = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>';
    refuses(bomb, /document type/);
    refuses('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', /document type/);
    refuses('<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1/">]><a>&x;</a>', /document type/);
    refuses('<a>&c;</a>', /entity/);
    refuses('<a b="&c;"/>', /entity/);
    refuses('<a>&#xD800;</a>', /entity/);
    refuses('<a>&#x110000;</a>', /entity/);
    refuses(`<a>&#x${'0'.repeat(1000)}41;</a>`, /entity/);
  });

  test('with a processing instruction', () => {
    refuses('<?xml-stylesheet href="x"?><a/>', /processing instruction/);
    refuses('<a><?php ?></a>', /processing instruction/);
  });

  test('when it is deeper, wider or longer than any message', () => {
    refuses('<a>'.repeat(1_000_000), /nested too deeply/);
    refuses(`<a ${Array.from({ length: 33 }, (_, at) => `b${at}="1"`).join(' ')}/>`, /too many attributes/);
    const nothing = { open: () => undefined, text: () => undefined, close: () => undefined };
    for (const beginning of ['<a>', '<a b="', '<a b', '<a><!--', '<', '<a></', '<a>&', '<a><![CDATA[']) {
      const reader = new XmlReader(nothing, 10_000);
      reader.write(Buffer.from(beginning));
      const goOn = () => {
        for (let bytes = 0; bytes <= 12_000; bytes += 1_000) reader.write(Buffer.alloc(1_000, 'x'));
      };
      assert.throws(goOn, /larger than can be taken/, beginning);
    }
  });

  test('when it is not one, or not all there', () => {
    for (const broken of [
      '',
      'x',
      '<a',
      '<a>',
      '<a></b>',
      '<a/><b/>',
      '<a b=1/>',
      '<q:a/>',
      '<a>\u0001</a>',
      '<a>]]></a>',
    ])
      refuses(broken, /./);
    refuses(Buffer.from([0x3c, 0x61, 0x3e, 0xff, 0xfe, 0x3c, 0x2f, 0x61, 0x3e]), /not UTF-8/);
    refuses('<?xml version="1.0" encoding="iso-8859-1"?><a/>', /neither UTF-8 nor UTF-16/);
    refuses('<?xml version="1.1"?><a/>', /not XML 1\.0/);
    refuses(Buffer.from('<?xml version="1.0" encoding="utf-8"?><a/>', 'utf16le'), /neither UTF-8 nor UTF-16/);
  });
});

test('text is written so that it is read as it was', () => {
  const odd = 'a<b>&"\'\r\n\t\u0000\u0001\u001f\u0085\u2028\ufffe\uffff😀]]>';
  assert.equal(textOf(escapeText(odd)), odd);
  assert.throws(() => escapeText('\ud800'), /half of a character/);
});
