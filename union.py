# resolve conflicts by keeping both sides (ours then theirs), optionally dedup lines
import sys,re
for p in sys.argv[1:]:
    s=open(p).read()
    def both(m):
        a,b=m.group(1),m.group(2)
        al=a.splitlines(True); bl=[l for l in b.splitlines(True) if l.strip()=='' or l not in al]
        return ''.join(al+bl)
    s=re.sub(r'<<<<<<< [^\n]*\n(.*?)=======\n(.*?)>>>>>>> [^\n]*\n',both,s,flags=re.S)
    open(p,'w').write(s)
