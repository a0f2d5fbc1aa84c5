// The same bytes for every brand and request: the page's policy names their hash.
// What differs is read from the form's data attributes and the texts already in the page.
(() => {
  'use strict';

  const form = document.getElementById('sign-in');
  const key = 'deskmint:' + form.dataset.scope;
  const limit = Number(form.dataset.loopLimit);
  const span = Number(form.dataset.loopWindow); // milliseconds
  const patience = 5000; // milliseconds
  const life = 150000; // milliseconds: of the three minutes that Zendesk takes a token, less some for both ways
  const mark = form.elements.jwt.value.slice(-16); // tells tokens apart, and is good for nothing else

  const show = (state) => {
    document.querySelectorAll('[data-state]').forEach((part) => {
      part.hidden = !part.dataset.state.split(' ').includes(state);
    });
    document.title = document.querySelector('section:not([hidden]) h1').textContent;
  };

  // A browser may refuse storage, or throw at its very name: then nothing is remembered, because a sign-in
  // that works matters more than a loop that ends.
  const stored = (name) => {
    try {
      return sessionStorage.getItem(name) || '';
    } catch (refused) {
      return '';
    }
  };
  const store = (name, value) => {
    try {
      sessionStorage.setItem(name, value);
    } catch (refused) {
      // As above.
    }
  };

  // The times of this tab's sign-ins within the window.
  const recent = () => {
    const now = Date.now();
    return stored(key).split(' ').map(Number).filter((time) => time > now - span && time <= now);
  };

  // The one guard: a token is good for one POST, whoever sends it, this script or the button, and however often
  // the tab is given this page, with or without others in between.
  const kept = 8;
  const marks = () => stored(key + ':sent').split(' ').filter(Boolean);
  let sent = marks().includes(mark);
  let waiting;
  const claim = () => {
    if (sent || old()) return false;
    sent = true;
    store(key + ':sent', marks().concat(mark).slice(-kept).join(' '));
    store(key, recent().concat(Date.now()).slice(-limit).join(' '));
    form.querySelector('button').setAttribute('aria-disabled', 'true');
    show('sending');
    waiting = setTimeout(show, patience, 'slow');
    return true;
  };

  // A page that wasn't sent loses its button when the token in it has grown old; what it says stays true. A timer stands
  // still in the back/forward cache and while the machine sleeps, so the clock on the wall is asked too; and that one
  // may be set back, so the timer's word is final.
  const loaded = Date.now();
  let over = false;
  const old = () => {
    over = over || Date.now() - loaded >= life;
    form.hidden = form.hidden || over;
    return over;
  };

  form.addEventListener('submit', (event) => {
    if (!claim()) event.preventDefault();
  });

  // A page that comes back from the back/forward cache has lived on with its guard closed and its clock stopped.
  addEventListener('pageshow', (event) => {
    if (!event.persisted) return;
    clearTimeout(waiting);
    if (sent) show('used');
    else old();
  });

  // Now, not at "load": a form sent before that replaces this page in the tab's history, so Back skips it.
  // The prototype's method, because a control named "submit" would hide the form's own.
  if (sent) {
    show('used');
  } else if (recent().length + 1 >= limit) {
    show('loop');
    setTimeout(() => {
      over = true;
      old();
    }, life);
  } else if (claim()) {
    HTMLFormElement.prototype.submit.call(form);
  }
})();
