// Dropping files on a part of the page.

/** Calls `onFiles` with what is dropped on `area`; `overlay` is shown meanwhile. */
export function acceptDrops(area, overlay, { signal, isOpen, onFiles }) {
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer?.types.includes('Files') && isOpen();
  const on = (name, listener) => {
    const accept = (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      listener(event);
    };
    area.addEventListener(name, accept, { signal });
  };
  on('dragenter', () => {
    depth += 1;
    overlay.hidden = false;
  });
  on('dragover', (event) => {
    event.dataTransfer.dropEffect = 'copy';
  });
  on('dragleave', () => {
    depth = Math.max(0, depth - 1);
    overlay.hidden = depth === 0;
  });
  on('drop', (event) => {
    depth = 0;
    overlay.hidden = true;
    onFiles(event.dataTransfer.files);
  });
}
