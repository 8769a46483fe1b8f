// Shows a schema: name, type, whether it is required, and what it means; nested ones unfold.
import { h } from '../shared/dom.js';
import { t } from '../shared/i18n.js';

const MAX_DEPTH = 5;

/** The type in a few characters: `integer`, `text[]`, `Chat or null`. */
function typeName(found, node) {
  let name = found.type ?? 'any';
  if (found.options) name = found.options.map((it) => typeName(node(it), node)).join(' | ');
  else if (found.type === 'array') name = `${typeName(node(found.items ?? {}), node)}[]`;
  else if (found.properties && found.ref) name = found.ref;
  else if (found.format === 'date-time') name = 'date-time';
  return found.isNullable ? `${name} | null` : name;
}

const values = (found) =>
  found.enum &&
  h(
    'span',
    { class: 'schema-values' },
    found.enum.map((it) => [h('code', null, JSON.stringify(it)), ' ']),
  );

/** The fields below a schema: its own, or those of its items. */
function inner(found, node) {
  if (found.type === 'array') return inner(node(found.items ?? {}), node);
  if (found.options) return [];
  return Object.entries(found.properties ?? {})
    .map(([name, it]) => ({ name, found: node(it), isRequired: (found.required ?? []).includes(name) }))
    .sort((a, b) => b.isRequired - a.isRequired);
}

function row({ name, found, isRequired }, node, depth, open) {
  const below = depth < MAX_DEPTH ? inner(found, node) : [];
  const line = [
    h('code', { class: 'schema-name' }, name),
    h('span', { class: 'schema-type' }, typeName(found, node)),
    isRequired && h('span', { class: 'schema-required' }, t('con_required')),
  ];
  const about = [found.description && h('p', { class: 'schema-about' }, found.description), values(found)];
  if (!below.length) return h('li', null, h('div', { class: 'schema-line' }, line), about);
  const list = h('ul', { class: 'schema' });
  const details = h('details', { open, ontoggle: fillOnce }, h('summary', { class: 'schema-line' }, line), about, list);
  // Filled when it unfolds: schemas refer to each other without an end.
  function fillOnce() {
    if (details.open && !list.firstChild) list.append(...below.map((it) => row(it, node, depth + 1, false)));
  }
  fillOnce();
  return h('li', null, details);
}

/** The fields of a payload; `depth` levels are unfolded. */
export function schemaView(schema, node) {
  const found = node(schema ?? {});
  if (found.options) {
    return h(
      'div',
      { class: 'stack' },
      found.options.map((it) => {
        const option = node(it);
        return h(
          'div',
          null,
          h(
            'p',
            { class: 'schema-option' },
            option.properties?.ok
              ? t(node(option.properties.ok).enum?.[0] ? 'con_if_ok' : 'con_if_error')
              : (option.ref ?? ''),
          ),
          schemaView(it, node),
        );
      }),
    );
  }
  const fields = inner(found, node);
  if (!fields.length) return h('p', { class: 'muted small' }, t('con_no_fields'));
  return h(
    'ul',
    { class: 'schema' },
    fields.map((it) => row(it, node, 0, it.isRequired)),
  );
}
