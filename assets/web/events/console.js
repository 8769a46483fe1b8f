// The console itself: what was chosen, its payload and schema, both identities, and the two logs.
import { fill, h, text } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { icon } from '../shared/icons.js';
import { explain } from '../shared/form.js';
import { toast } from '../shared/toast.js';
import { navigate, onRoute, route } from '../shared/router.js';
import { createEditor } from './editor.js';
import { createEventList } from './event_list.js';
import { exampleOf } from './example.js';
import { createIdentity, demoLogin, demoPair } from './identity.js';
import { createLog } from './logs.js';
import { schemaView } from './schema_view.js';
import { sharedChat, knownTo } from './shared_chat.js';
import { createSnippets } from './snippet_view.js';

/** Shows the console in `place`; `top` makes the page's header. */
export function showConsole(place, { events, node }, top) {
  let chosen = null;
  let inviteToken;
  /** The example that was filled in last: a payload that nobody has changed follows what becomes known. */
  let untouched = '';
  const serverNames = [...new Set(events.filter((it) => !it.isCommand).map((it) => it.name))];
  const options = { names: serverNames, onevent: (...what) => onEvent(...what), onchange };
  const sender = createIdentity({ ...options, key: 'mango-console-sender', label: t('con_sender') });
  const receiver = createIdentity({ ...options, key: 'mango-console-receiver', label: t('con_receiver') });

  const list = createEventList({ events, onselect: (event) => navigate(`#/${event.key}`, { replace: true }) });
  const title = h('h1');
  const kind = h('span', { class: 'tag quiet' });
  const summary = h('p', { class: 'muted' });
  const editor = createEditor({ onsend: () => send(), onchange: () => showSnippet() });
  const sendButton = h('button', { type: 'button', class: 'btn', onclick: () => send() }, icon('send', 's'), t('send'));
  const resetButton = h(
    'button',
    {
      type: 'button',
      class: 'btn plain small',
      onclick: () => {
        untouched = editor.value;
        fillExample();
      },
    },
    t('con_reset'),
  );
  const keys = h('small', { class: 'muted keys' }, h('kbd', null, 'Ctrl'), ' ', h('kbd', null, 'Enter'));
  const noSend = h('p', { class: 'notice', hidden: true }, t('con_server_sends'));
  const schema = h('div', { class: 'schema-box' });
  const code = createSnippets();
  const acks = createLog({
    label: t('con_ack'),
    about: h('small', { class: 'muted ack-who' }),
    hint: t('con_ack_hint'),
  });
  const who = h('select', { class: 'input', 'aria-label': t('con_whose'), onchange: applyFilter });
  const received = createLog({ label: t('con_received'), hint: t('con_received_hint'), tools: who });
  const start = h('section', { class: 'start', 'aria-label': t('con_begin') });

  fill(
    place,
    top(h('div', { class: 'identities' }, sender.element, receiver.element)),
    start,
    h(
      'div',
      { class: 'console' },
      list.element,
      h(
        'main',
        { class: 'work' },
        h(
          'section',
          { class: 'request', 'aria-label': t('con_request') },
          h('div', { class: 'event-head' }, h('div', { class: 'row wrap' }, title, kind), summary),
          h(
            'div',
            { class: 'columns' },
            h(
              'div',
              { class: 'stack' },
              editor.element,
              h('div', { class: 'row wrap' }, sendButton, resetButton, keys),
              noSend,
              code.element,
            ),
            schema,
          ),
        ),
        h('div', { class: 'results' }, acks.element, received.element),
      ),
    ),
  );

  const showSnippet = () => chosen && code.show(chosen, editor.value, sender.me?.username ?? 'alice');

  function fillExample() {
    if (!chosen || editor.value !== untouched) return;
    const known = { ...knownTo(sender, receiver), inviteToken };
    untouched = JSON.stringify(exampleOf(chosen.payload ?? {}, node, known, { isWhole: !chosen.isCommand }), null, 2);
    editor.set(untouched, { readonly: !chosen.isCommand });
    showSnippet();
    // An access token is not at hand at once.
    if (chosen.name === 'authenticate' && sender.me) {
      const mine = chosen;
      sender
        .tokens()
        .then((token) => {
          if (chosen !== mine || editor.value !== untouched) return;
          untouched = JSON.stringify({ token }, null, 2);
          editor.set(untouched);
          showSnippet();
        })
        .catch(() => {});
    }
  }

  function choose(event) {
    if (!event || event === chosen) return;
    chosen = event;
    list.select(event);
    text(title, event.name);
    text(kind, t(event.isCommand ? 'con_command' : 'con_server_event'));
    text(summary, event.summary);
    sendButton.disabled = !event.isCommand;
    resetButton.hidden = keys.hidden = !event.isCommand;
    noSend.hidden = event.isCommand;
    untouched = editor.value;
    fillExample();
    fill(
      schema,
      h('h2', null, t('con_fields')),
      schemaView(event.payload, node),
      event.ack && h('details', { class: 'fold' }, h('summary', null, t('con_ack')), schemaView(event.ack, node)),
    );
    document.title = `${event.name} · ${t('con_title')}`;
  }

  async function send() {
    if (!chosen?.isCommand || sendButton.getAttribute('aria-busy') === 'true') return;
    const event = chosen;
    const parsed = editor.check();
    if (!parsed) {
      editor.area.focus();
      return;
    }
    if (!sender.me) {
      editor.showProblems([{ offset: null, text: t('con_sign_in_first') }]);
      if (!(await sender.ask())) return;
      editor.showProblems([]);
    }
    sendButton.setAttribute('aria-busy', 'true');
    const since = performance.now();
    const took = () => t('con_ms', { n: Math.round(performance.now() - since) });
    try {
      const ack = await sender.client.call(event.name, parsed.value);
      acks.add({ name: event.name, tag: 'ok', tone: 'good', detail: took(), value: ack });
    } catch (error) {
      const { code: errorCode, message, errors, retryAfterMs } = error;
      if (!errorCode) console.error(error);
      const value = {
        ok: false,
        error: {
          code: errorCode,
          message,
          ...(Object.keys(errors ?? {}).length && { errors }),
          ...(retryAfterMs && { retry_after_ms: retryAfterMs }),
        },
      };
      acks.add({ name: event.name, tag: errorCode ?? 'error', tone: 'bad', detail: took(), value });
      if (chosen === event) editor.showErrors(error);
    } finally {
      sendButton.removeAttribute('aria-busy');
    }
    fillExample();
  }

  function onEvent(identity, name, data) {
    received.add({
      name,
      tag: identity.name,
      tone: identity === receiver ? 'blue' : 'quiet',
      value: data,
      group: identity === receiver ? 'receiver' : 'sender',
    });
  }

  function applyFilter() {
    received.filter((group) => who.value === 'both' || group === who.value);
  }

  function onchange() {
    const before = who.value || 'receiver';
    const name = (identity) => (identity.me ? identity.name : identity.label);
    fill(
      who,
      [
        ['receiver', name(receiver)],
        ['sender', name(sender)],
        ['both', t('con_both')],
      ].map(([value, label]) => h('option', { value }, label)),
    );
    who.value = before;
    text(acks.element.querySelector('.ack-who'), sender.me ? sender.name : '');
    showStart();
    fillExample();
  }

  /** What is missing before one can begin: identities, or a chat that both are in. */
  function showStart() {
    const isReady = (identity) => identity.me && identity.client.status === 'online';
    let content = null;
    if (!sender.me && !receiver.me && demoPair) {
      content = [
        h('p', null, t('con_start_demo')),
        h(
          'button',
          { type: 'button', class: 'btn small', onclick: signInBoth },
          t('con_sign_in_both', { a: demoPair[0], b: demoPair[1] }),
        ),
      ];
    } else if (!sender.me || !receiver.me) {
      content = [h('p', null, t('con_start_two'))];
    } else if (isReady(sender) && isReady(receiver) && !sharedChat(sender, receiver)) {
      content = [
        h('p', null, t('con_no_chat', { a: sender.name, b: receiver.name })),
        h('button', { type: 'button', class: 'btn small', onclick: makeChat }, t('con_make_chat')),
      ];
    }
    if (start.dataset.shown === String(content?.[0].textContent)) return;
    start.dataset.shown = String(content?.[0].textContent);
    fill(start, content);
    start.hidden = !content;
  }

  const busy = async (event, run) => {
    const button = event.currentTarget;
    button.setAttribute('aria-busy', 'true');
    try {
      await run();
    } catch (error) {
      toast(explain(error));
    } finally {
      button.removeAttribute('aria-busy');
    }
  };
  const signInBoth = (event) =>
    busy(event, () => Promise.all([sender.signIn(demoLogin(demoPair[0])), receiver.signIn(demoLogin(demoPair[1]))]));
  const makeChat = (event) =>
    busy(event, async () => {
      const chat = await sender.client.createChat({ name: t('con_chat_name'), members: [receiver.me.id] });
      ({ token: inviteToken } = await sender.client.rest('POST', `/chat/${chat.id}/invite`, {}).catch(() => ({})));
      onchange();
    });

  const follow = () =>
    choose(
      events.find((it) => it.key === route().path[0]) ??
        chosen ??
        events.find((it) => it.name === 'send_message') ??
        events[0],
    );
  onRoute(follow);
  onchange();
  applyFilter();
  follow();
  sender.restore();
  receiver.restore();
}
