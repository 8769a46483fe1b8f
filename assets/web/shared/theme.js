// Runs before the first paint: applies the chosen theme, so that the page never flashes in the other one.
(() => {
  try {
    const theme = localStorage.getItem('mango-theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch {
    /* Without storage the system's theme is used. */
  }
})();
