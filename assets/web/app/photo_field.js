// Choosing a photo of a person or group: a file, cut to a square.
import { fill, h } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { avatar } from '../shared/avatar.js';
import { toast } from '../shared/toast.js';

/** `onChange(file)` is called with the cut picture. */
export function photoField(subject, { onChange } = {}) {
  const picture = h('span', null, avatar(subject, 'l'));
  const input = h('input', {
    type: 'file',
    accept: 'image/*',
    class: 'vh',
    tabindex: '-1',
    'aria-hidden': 'true',
    onchange: async () => {
      const [file] = input.files;
      input.value = '';
      if (!file) return;
      try {
        const { cropImage } = await import('./crop.js');
        const cut = await cropImage(file);
        if (!cut) return;
        field.file = cut;
        fill(picture, h('span', { class: 'avatar l' }, h('img', { src: URL.createObjectURL(cut), alt: '' })));
        await onChange?.(cut);
      } catch {
        toast(t('photo_unreadable'));
      }
    },
  });
  const field = {
    file: null,
    element: h(
      'div',
      { class: 'photo-field' },
      h(
        'button',
        {
          type: 'button',
          class: 'photo-button',
          'aria-label': t('choose_photo'),
          title: t('choose_photo'),
          onclick: () => input.click(),
        },
        picture,
        h('span', { class: 'camera' }, icon('camera', 's')),
      ),
      input,
    ),
    form() {
      const form = new FormData();
      form.append('image', field.file, 'photo.jpg');
      return form;
    },
  };
  return field;
}
