// The kind of text that is written: plain, Markdown, or code; others see it in the fitting form.
import { attr, h, text } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { iconButton } from '../shared/form.js';
import { openMenu } from '../shared/menu.js';

const TYPES = ['text', 'markdown', 'json', 'yaml', 'xml', 'html', 'css', 'javascript', 'csv', 'svg'];
const SHORT = { text: '', javascript: 'JS', markdown: 'MD' };
/** The types of files without a caption, which tell other clients what they are. */
const FILES = { 'application/pdf': 'pdf', 'application/zip': 'zip', 'text/csv': 'csv', 'application/gzip': 'gzip' };

export class TextType {
  #type = 'text';

  constructor(input, onChosen) {
    this.input = input;
    this.onChosen = onChosen;
    this.label = h('span', { class: 'type-label' });
    this.button = iconButton('text', t('text_type'), () => this.#choose(), { 'aria-haspopup': 'menu' });
    this.button.append(this.label);
  }

  set(type) {
    this.#type = type;
    text(this.label, SHORT[type] ?? type.toUpperCase());
    attr(this.button, 'aria-pressed', String(type !== 'text'));
    this.input.classList.toggle('is-code', !['text', 'markdown'].includes(type));
  }

  /** The type of a message: of its text, or without one of its first file. */
  of(content, files) {
    if (!files.length || content.trim()) return this.#type;
    const { type } = files[0].file;
    const kind = type.split('/')[0];
    if (['image', 'audio', 'video'].includes(kind) && type !== 'image/svg+xml') return kind;
    return FILES[type] ?? 'binary';
  }

  #choose() {
    const item = (type) => ({
      label: { text: t('plain_text'), markdown: t('formatted_text') }[type] ?? type.toUpperCase(),
      checked: type === this.#type,
      run: () => {
        this.set(type);
        this.onChosen();
      },
    });
    const [plain, markdown, ...code] = TYPES.map(item);
    openMenu(this.button, [plain, markdown, null, ...code], { label: t('text_type'), align: 'end' });
  }
}
