// The profile of a user: who they are, what moderators need to know, and what they can do.
import { fill, h } from '../../shared/dom.js';
import { t } from '../../shared/i18n.js';
import { icon } from '../../shared/icons.js';
import { avatar, nameOf } from '../../shared/avatar.js';
import { fullTime } from '../../shared/time.js';
import { confirmDialog } from '../../shared/dialog.js';
import { toast } from '../../shared/toast.js';
import { act, addressOf, fact, failed, handleOf, skeleton, when } from '../parts.js';
import { isAdmin, rest, session } from '../session.js';
import { askBan, askUnban } from './ban.js';
import { userTags } from './users.js';

/** Fetches and shows a user. `changed` is called after an action, `gone` after the account was deleted. */
export async function userView(id, { changed, gone }) {
  const user = await rest('GET', `/admin/user/${encodeURIComponent(id)}`);
  const name = nameOf(user);
  const isSelf = user.id === session.me.id;
  const reach = user.reach ?? {};
  const element = h(
    'div',
    { class: 'stack wide-gap' },
    h(
      'div',
      { class: 'profile' },
      avatar({ ...user, name }, 'l', { online: user.online }),
      h('div', { class: 'grow' }, h('p', { class: 'profile-name' }, handleOf(user)), userTags(user)),
    ),
    user.ban &&
      h(
        'div',
        { class: 'notice bad' },
        h(
          'b',
          null,
          user.ban.until ? t('adm_banned_until', { time: fullTime(user.ban.until) }) : t('adm_banned_forever'),
        ),
        h('p', { class: 'quoted' }, user.ban.reason),
        h('p', null, t('adm_banned_since', { time: fullTime(user.ban.since) })),
      ),
    h(
      'dl',
      { class: 'facts' },
      fact(t('adm_id'), String(user.id)),
      reach.email &&
        fact(
          t('email'),
          h(
            'span',
            null,
            reach.email,
            ' ',
            h('span', { class: 'muted' }, t(reach.email_verified ? 'adm_verified' : 'adm_unverified')),
          ),
        ),
      fact(t('adm_phone'), reach.phone),
      fact(t('adm_registered'), fullTime(user.created_at)),
      fact(t('adm_last_seen'), user.online ? t('online') : when(user.last_seen_at)),
      fact(t('adm_chats'), String(user.chats)),
      fact(t('adm_live_sessions'), String(user.sessions)),
      fact(
        t('adm_reports'),
        user.reports ? t('adm_reports_of', { n: user.reports, open: user.open_reports }) : t('adm_none'),
      ),
    ),
    !user.deleted && actions(),
    isAdmin() && !user.deleted && sessions(),
    isAdmin() &&
      h(
        'p',
        { class: 'row wrap' },
        h('a', { class: 'link small', href: addressOf('audit', { user: user.id }) }, t('adm_audit_about')),
        user.role !== 'user' &&
          h('a', { class: 'link small', href: addressOf('audit', { actor: user.id }) }, t('adm_audit_by')),
      ),
  );

  function actions() {
    // The server refuses these as well; a button that cannot work is not shown.
    const canBan = !isSelf && user.role !== 'admin' && (isAdmin() || user.role === 'user');
    const button = (symbol, label, run, danger) =>
      h(
        'button',
        { type: 'button', class: `btn outline small ${danger ? 'warn' : ''}`, onclick: run },
        icon(symbol, 's'),
        label,
      );
    const buttons = [
      canBan &&
        !user.ban &&
        button(
          'ban',
          t('ban'),
          async () => {
            if (await askBan(user)) changed();
          },
          true,
        ),
      canBan &&
        user.ban &&
        button('ban', t('adm_change_ban'), async () => {
          if (await askBan(user)) changed();
        }),
      user.ban &&
        button('check', t('adm_unban'), async () => {
          if (await askUnban(user)) changed();
        }),
      isAdmin() && reach.email && button('mail', t('adm_reset_mail'), (event) => resetMail(event.currentTarget)),
      isAdmin() &&
        !isSelf &&
        button('trash', t('adm_delete_account'), (event) => deleteAccount(event.currentTarget), true),
    ].filter(Boolean);
    return [
      isAdmin() && !isSelf && roleField(),
      buttons.length > 0 && h('div', { class: 'actions', role: 'group', 'aria-label': t('adm_actions') }, buttons),
      isSelf && h('p', { class: 'muted small' }, t('adm_yourself')),
    ];
  }

  function roleField() {
    const select = h(
      'select',
      { class: 'input', id: 'user-role', onchange: change },
      ['user', 'moderator', 'admin'].map((role) =>
        h('option', { value: role, selected: role === user.role }, t(`adm_role_${role}`)),
      ),
    );
    async function change() {
      const role = select.value;
      const isSure = await confirmDialog({
        title: t(`adm_role_${role}_title`, { name }),
        text: t(`adm_role_${role}_text`),
        action: t('adm_change_role'),
      });
      if (
        isSure &&
        (await act(null, () => rest('PUT', `/admin/user/${user.id}/role`, { role }), t('adm_role_changed', { name })))
      )
        changed();
      else select.value = user.role;
    }
    return h('div', null, h('label', { class: 'label', for: 'user-role' }, t('adm_role')), select);
  }

  async function resetMail(button) {
    const isSure = await confirmDialog({
      title: t('adm_reset_title', { name }),
      text: t('adm_reset_text', { email: reach.email }),
      action: t('adm_reset_send'),
    });
    if (isSure)
      await act(
        button,
        () => rest('POST', `/admin/user/${user.id}/password_reset`),
        t('adm_reset_done', { email: reach.email }),
      );
  }

  async function deleteAccount(button) {
    const isSure = await confirmDialog({
      title: t('adm_delete_title', { name }),
      text: t('adm_delete_text', { handle: handleOf(user) }),
      action: t('adm_delete_account'),
      danger: true,
    });
    if (isSure && (await act(button, () => rest('DELETE', `/admin/user/${user.id}`), t('adm_delete_done', { name }))))
      gone();
  }

  /** The live sessions, fetched when they are opened. */
  function sessions() {
    const body = h('div', { class: 'stack' });
    const load = async () => {
      fill(body, skeleton(3));
      try {
        const all = await rest('GET', `/admin/user/${user.id}/session`);
        fill(
          body,
          all.length ? [sessionTable(all), endAll(all.length)] : h('p', { class: 'muted small' }, t('adm_no_sessions')),
        );
      } catch (error) {
        fill(body, failed(error, load));
      }
    };
    return h(
      'details',
      {
        class: 'fold',
        ontoggle: (event) => {
          if (event.target.open && !body.firstChild) load();
        },
      },
      h('summary', null, t('adm_sessions_n', { n: user.sessions })),
      body,
    );
  }

  const sessionTable = (all) =>
    h(
      'div',
      { class: 'table-frame' },
      h(
        'table',
        { class: 'table dense' },
        h('caption', { class: 'vh' }, t('adm_live_sessions')),
        h(
          'thead',
          null,
          h('tr', null, h('th', { scope: 'col' }, t('adm_device')), h('th', { scope: 'col' }, t('adm_last_used'))),
        ),
        h(
          'tbody',
          null,
          all.map((it) =>
            h(
              'tr',
              null,
              h(
                'td',
                null,
                h('span', { class: 'clamp', title: it.user_agent }, it.user_agent ?? t('adm_unknown_device')),
                h('small', { class: 'muted block' }, it.address ?? '–'),
              ),
              h('td', null, when(it.last_used_at)),
            ),
          ),
        ),
      ),
    );

  const endAll = (n) =>
    h(
      'button',
      {
        type: 'button',
        class: 'btn outline small warn',
        onclick: async (event) => {
          const button = event.currentTarget;
          const isSure = await confirmDialog({
            title: t('adm_end_title', { name }),
            text: t('adm_end_text', { n }),
            action: t('adm_end_all'),
            danger: true,
          });
          if (!isSure) return;
          if (await act(button, () => rest('DELETE', `/admin/user/${user.id}/session`))) {
            toast(t('adm_end_done', { name }));
            changed();
          }
        },
      },
      icon('logout', 's'),
      t('adm_end_all'),
    );

  return { title: name, element };
}
