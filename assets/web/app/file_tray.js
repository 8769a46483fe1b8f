// The files that are about to be sent, with a preview of each.
import { fill, h } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { size } from '../shared/time.js';
import { iconButton } from '../shared/form.js';
import { isImageFile, labelOf, previewUrl, releasePreview } from './attachments.js';

export class FileTray {
  /** @type {{file: File, asFile: boolean}[]} In the order in which they are sent. */
  files = [];

  constructor(onChange) {
    this.onChange = onChange;
    this.element = h('div', { class: 'tray', role: 'group', 'aria-label': t('files_to_send'), hidden: true });
  }

  add(files) {
    this.files = [...this.files, ...files.map((file) => ({ file, asFile: false }))];
    this.#show();
  }

  /** Empties the tray; files that are not sent are not shown any more. */
  clear({ isSent = false } = {}) {
    if (!this.files.length) return;
    if (!isSent) for (const { file } of this.files) releasePreview(file);
    this.files = [];
    this.#show();
  }

  #show() {
    this.element.hidden = !this.files.length;
    const hasImages = this.files.some(({ file }) => isImageFile(file));
    fill(
      this.element,
      h(
        'div',
        { class: 'tray-files' },
        this.files.map((item) =>
          h(
            'div',
            { class: 'tray-file' },
            isImageFile(item.file) && !item.asFile
              ? h('img', { src: previewUrl(item.file), alt: '' })
              : h('span', { class: 'file-type' }, labelOf(item.file.name) || icon('file')),
            h(
              'span',
              { class: 'grow' },
              h('span', { class: 'cut', dir: 'auto' }, item.file.name),
              h('small', { class: 'muted' }, size(item.file.size)),
            ),
            iconButton(
              'close',
              t('remove_file', { name: item.file.name }),
              () => {
                this.files = this.files.filter((it) => it !== item);
                releasePreview(item.file);
                this.#show();
              },
              { class: 'icon-btn small' },
            ),
          ),
        ),
      ),
      hasImages &&
        h(
          'label',
          { class: 'check small' },
          h('input', {
            type: 'checkbox',
            checked: this.files.every((it) => it.asFile),
            onchange: (event) => {
              for (const it of this.files) it.asFile = event.target.checked;
              this.#show();
            },
          }),
          h('span', null, t('send_as_files')),
        ),
    );
    this.onChange();
  }
}
